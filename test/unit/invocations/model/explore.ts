import { createHash } from 'node:crypto';
import type { Head } from '../../../../lib/core/invocations/model.js';
import { brokenInRecovery, brokenInStep, FATES } from './properties.js';
import { type Scope, stepsFrom } from './steps.js';
import { keyOf, newWorld, type World } from './world.js';

export interface Explored {
  states: number;
  transitions: number;
  /** Longest of the shortest ways to a state. */
  depth: number;
  /** Heads from which recovery was tried, each with every fate. */
  recoveries: number;
  /** Ends that were seen, so that a space that never gets anywhere proves nothing. */
  ends: Record<string, number>;
  /** The first property found broken, with the way there. */
  broken?: string;
}

interface Seen {
  world: World;
  from?: Seen;
  what: string;
  depth: number;
}

const wayTo = (seen: Seen | undefined): string[] => (seen ? [...wayTo(seen.from), seen.what] : []);

/** Breadth first, so that a broken property comes with a shortest way to it. */
export function explore(scope: Scope, most = Number.POSITIVE_INFINITY): Explored {
  const start: Seen = { world: newWorld({ ...scope.budget, accepts: scope.asks.length }), what: 'start', depth: 0 };
  const known = new Set([digestOf(start.world)]);
  const recovered = new Set<string>();
  const result: Explored = { states: 1, transitions: 0, depth: 0, recoveries: 0, ends: {} };
  let layer = [start];
  while (layer.length > 0) {
    const next: Seen[] = [];
    for (const seen of layer) {
      if (result.states > most) return { ...result, broken: `more than ${most} states` };
      for (const step of stepsFrom(seen.world, scope)) {
        result.transitions += 1;
        const tell = (why: string): Explored => ({ ...result, broken: [why, ...wayTo(seen), step.what].join('\n  ') });
        for (const why of brokenInStep(seen.world, step)) return tell(why);
        const key = digestOf(step.to);
        if (known.has(key)) continue;
        known.add(key);
        result.states += 1;
        result.depth = seen.depth + 1;
        for (const why of recover(step.to, recovered, result)) return tell(why);
        next.push({ world: step.to, from: seen, what: step.what, depth: seen.depth + 1 });
      }
    }
    layer = next;
  }
  return result;
}

/** Half a million whole keys would not fit; 128 bits of them do, and don't collide. */
const digestOf = (world: World): string => createHash('md5').update(keyOf(world)).digest('base64');

/** Each head that differs is recovered once, whatever else the world looks like: no rule sees more than one head. */
function* recover(world: World, recovered: Set<string>, result: Explored): Generator<string> {
  for (const head of Object.values(world.heads)) {
    const key = headKey(head, world);
    if (recovered.has(key)) continue;
    recovered.add(key);
    result.recoveries += 1;
    const end = `${head.state}${head.deadReason ? ` ${head.deadReason}` : ''}`;
    result.ends[end] = (result.ends[end] ?? 0) + 1;
    for (const fate of FATES) yield* brokenInRecovery(world, head, fate);
  }
}

const headKey = (head: Head, world: World): string =>
  keyOf({ ...world, heads: { [head.requestId]: head }, ledger: [], seenAt: {}, runs: [], air: [], owners: [] });
