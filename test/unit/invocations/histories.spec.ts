import fc from 'fast-check';
import { brokenInRecovery, brokenInStep, FATES } from './model/properties.js';
import { type Scope, type Step, stepsFrom } from './model/steps.js';
import { isTerminal } from './model/store.js';
import { type Ask, ENDS, newWorld, type World } from './model/world.js';

/** Far beyond what can be explored exhaustively: long histories of many calls, by chance instead of all of them. */
const ASKS: Ask[] = [
  { id: 'a1', mode: 'async', digest: 'd' },
  { id: 's1', mode: 'sync', digest: 'd' },
  { id: 'a2', mode: 'async', digest: 'd' },
  { id: 'x1', mode: 'async', digest: 'x' },
  { id: 'k1', mode: 'async' },
  { id: 's2', mode: 'sync', digest: 'd' },
  { id: 'k2', mode: 'sync' },
];
const SCOPE: Scope = {
  asks: ASKS,
  ends: ENDS,
  jumps: ['silence', 'lease', 'day'],
  budget: {
    accepts: ASKS.length,
    claims: 40,
    undos: 8,
    crashes: 8,
    jumps: 12,
    backJumps: 3,
    losses: 10,
    repeats: 20,
    replays: 5,
    buries: 3,
  },
};

interface Choice {
  /** Which kind of step, then which of these: so that rare kinds get their turn. */
  kind: number;
  which: number;
}

const kindOf = (step: Step): string => step.message?.kind ?? step.what.replace(/\S*\d\S*/g, '').replace(/^[AB] /, '');

function choose(world: World, { kind, which }: Choice): Step | undefined {
  const groups = new Map<string, Step[]>();
  for (const step of stepsFrom(world, SCOPE)) groups.set(kindOf(step), [...(groups.get(kindOf(step)) ?? []), step]);
  const group = [...groups.values()][kind % Math.max(1, groups.size)];
  return group?.[which % group.length];
}

describe('a long random history', () => {
  it('keeps every property at every step, and every request in it can still be brought to its end', () => {
    const seen = { steps: 0, ended: 0, states: new Set<string>() };
    const choices = fc.array(fc.record({ kind: fc.nat(1_000), which: fc.nat(1_000) }), { minLength: 20, maxLength: 160, size: 'max' });
    fc.assert(
      fc.property(choices, (history) => {
        let world = newWorld(SCOPE.budget);
        const way: string[] = [];
        for (const choice of history) {
          const step = choose(world, choice);
          if (!step) break;
          way.push(step.what);
          const broken = [...brokenInStep(world, step)];
          expect(broken.length > 0 ? [...broken, ...way] : []).toEqual([]);
          world = step.to;
          seen.steps += 1;
        }
        for (const head of Object.values(world.heads)) {
          seen.states.add(`${head.state} ${head.deadReason ?? ''}`.trim());
          if (isTerminal(head)) seen.ended += 1;
          for (const fate of FATES) expect([...brokenInRecovery(world, head, fate)]).toEqual([]);
        }
      }),
      { numRuns: 500, endOnFailure: true },
    );
    process.stdout.write(
      `  ${seen.steps} random steps, ${seen.ended} requests ended; states seen: ${[...seen.states].sort().join(', ')}\n`,
    );
    expect([...seen.states]).toEqual(expect.arrayContaining(['ACCEPTED', 'RUNNING', 'RETRYING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT']));
  });
});
