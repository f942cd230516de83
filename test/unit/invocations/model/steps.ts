import { DEFAULTS } from '../../../../lib/core/defaults.js';
import { leaseIsVoid } from '../../../../lib/core/invocations/rules.js';
import { apply, isTerminal, type Reply } from './store.js';
import {
  type Ask,
  acceptRequest,
  type Budget,
  type End,
  LEASE_MS,
  type Message,
  type Owner,
  ownerId,
  type Run,
  type Undo,
  type World,
} from './world.js';

/** One thing that may happen next. */
export interface Step {
  what: string;
  /** Where the store was asked: by what. */
  message?: Message;
  /** What it answered, if anybody heard it. */
  reply?: Reply;
  to: World;
}

/** Past the silence of an owner and every wait for a retry; past a lease's deadline; past a key's day and every age limit. */
export const JUMPS_MS = { silence: 21_000, lease: 45_000, day: 25 * 3_600_000 };
export type Jump = keyof typeof JUMPS_MS;
const BACK_MS = -60_000;

const without = (runs: readonly Run[], run: Run): Run[] => runs.filter((other) => other !== run);

/** The run that waits for the answer to this very write. */
const asker = (world: World, message: Message): Run | undefined =>
  world.runs.find((run) => run.nonce === message.nonce && run.phase === PHASE_OF[message.kind]);

const PHASE_OF: Record<Message['kind'], Run['phase'] | undefined> = {
  accept: 'accepting',
  claim: 'claiming',
  complete: 'completing',
  undo: 'undoing',
  takeover: undefined,
  replay: 'administering',
  bury: 'administering',
};

/** The answer reaches the one who asked. */
function told(world: World, run: Run, reply: Reply): World {
  const rest = without(world.runs, run);
  if (reply.kind !== 'run') return { ...world, runs: rest };
  const { requestId, attempt } = reply.head;
  return { ...world, runs: [...rest, { ...run, phase: 'running', ref: { requestId, attempt, nonce: run.nonce } }] };
}

/** A write arrives: its answer reaches the asker, or is lost (then the asker still waits, and the write may arrive again). */
function* arrivals(world: World, message: Message): Generator<Step> {
  const { world: after, reply } = apply(world, message);
  const what = `${message.kind} ${message.nonce}`;
  const run = asker(world, message);
  if (run) {
    if (after !== world && world.budget.losses > 0) {
      yield { what: `${what} arrives, its answer is lost`, message, to: { ...after, budget: spend(after, 'losses') } };
    }
    yield { what: `${what} arrives and is answered ${reply.kind}`, message, reply, to: settled(told(after, run, reply)) };
  } else if (after !== world && world.budget.repeats > 0) {
    yield { what: `${what} arrives late or again`, message, to: settled({ ...after, budget: spend(after, 'repeats') }) };
  }
}

/** Once nothing may arrive late any more, writes that nobody waits for are as good as lost. */
function settled(world: World): World {
  if (world.budget.repeats > 0) return world;
  const air = world.air.filter((message) => asker(world, message));
  return air.length === world.air.length ? world : { ...world, air };
}

const spend = (world: World, name: keyof World['budget']): World['budget'] => ({ ...world.budget, [name]: world.budget[name] - 1 });

const replaced = (world: World, owner: Owner, next: Owner): Owner[] => world.owners.map((o) => (o === owner ? next : o));

/** `owner` begins something that needs a new nonce. */
function begin(world: World, owner: Owner, make: (nonce: string) => { message: Message; phase?: Run['phase'] }): World {
  const nonce = `${ownerId(owner)}.${owner.sent + 1}`;
  const { message, phase } = make(nonce);
  const runs = phase ? [...world.runs, { owner: ownerId(owner), nonce, phase }] : world.runs;
  return { ...world, owners: replaced(world, owner, { ...owner, sent: owner.sent + 1 }), runs, air: [...world.air, message] };
}

function* asks(world: World, asksLeft: readonly Ask[]): Generator<Step> {
  const number = asksLeft.length - world.budget.accepts;
  const ask = asksLeft[number];
  if (!ask) return;
  for (const owner of world.owners) {
    // The owners are alike: whom the first client asks makes no difference.
    if (!owner.up || mustStop(world, owner) || (number === 0 && owner.name !== 'A')) continue;
    const to = begin(world, owner, (nonce) => ({
      message: { kind: 'accept', nonce, request: acceptRequest(ask, ownerId(owner), nonce, world.now) },
      phase: 'accepting',
    }));
    yield { what: `${owner.name} is asked ${ask.id}`, to: { ...to, budget: spend(world, 'accepts') } };
  }
}

function* claims(world: World): Generator<Step> {
  if (world.budget.claims === 0) return;
  for (const head of Object.values(world.heads)) {
    const { now } = world;
    // As a dispatcher does: what is ready, or what seems abandoned. By the time the claim arrives it may be neither.
    const seenAt = world.seenAt[head.lease?.owner ?? ''] ?? 0;
    if (isTerminal(head) || (head.lease ? !leaseIsVoid(head.lease, now, seenAt) : head.readyAt > now)) continue;
    for (const owner of world.owners) {
      if (!owner.up || mustStop(world, owner)) continue;
      const { requestId } = head;
      const to = begin(world, owner, (nonce) => ({
        message: { kind: 'claim', nonce, requestId, owner: ownerId(owner), now, voidAt: now + LEASE_MS },
        phase: 'claiming',
      }));
      yield { what: `${owner.name} claims ${requestId}`, to: { ...to, budget: spend(world, 'claims') } };
    }
  }
}

/** A handler ends, or nothing had started and the claim is undone. */
function* endings(world: World, ends: readonly End[]): Generator<Step> {
  for (const run of world.runs) {
    if (run.phase !== 'running' || !run.ref) continue;
    const { ref, nonce } = run;
    const { now } = world;
    const others = without(world.runs, run);
    for (const end of ends) {
      const message: Message = { kind: 'complete', nonce, ref, end, now };
      yield {
        what: `${nonce} ends: ${end}`,
        to: { ...world, runs: [...others, { ...run, phase: 'completing' }], air: [...world.air, message] },
      };
    }
    if (world.budget.undos === 0) continue;
    const ways: Undo[] = world.heads[ref.requestId]?.mode === 'sync' ? ['withdraw', 'release'] : ['release', 'defer', 'park'];
    for (const how of ways) {
      const air = [...world.air, { kind: 'undo', nonce, ref, how, now } satisfies Message];
      yield {
        what: `${nonce} is undone: ${how}`,
        to: { ...world, runs: [...others, { ...run, phase: 'undoing' }], air, budget: spend(world, 'undos') },
      };
    }
  }
}

/** Without a heartbeat for so long it begins nothing, since others may think it dead; what it has begun goes on. */
const mustStop = (world: World, owner: Owner): boolean => world.now - (world.seenAt[ownerId(owner)] ?? 0) >= DEFAULTS.ownerStopsMs;

/** Crash, start again, heartbeat. What was in the air stays there. */
function* lives(world: World): Generator<Step> {
  for (const owner of world.owners) {
    const id = ownerId(owner);
    if (!owner.up) {
      const boot = { ...owner, boot: owner.boot + 1, up: true };
      yield {
        what: `${owner.name} starts again`,
        to: { ...world, owners: replaced(world, owner, boot), seenAt: { ...world.seenAt, [ownerId(boot)]: world.now } },
      };
      continue;
    }
    if (world.budget.crashes > 0) {
      const runs = world.runs.filter((run) => run.owner !== id);
      yield {
        what: `${owner.name} crashes`,
        to: settled({ ...world, runs, owners: replaced(world, owner, { ...owner, up: false }), budget: spend(world, 'crashes') }),
      };
    }
    if (mustStop(world, owner)) yield { what: `${owner.name} beats again`, to: { ...world, seenAt: { ...world.seenAt, [id]: world.now } } };
  }
}

function* clock(world: World, jumps: readonly Jump[]): Generator<Step> {
  if (world.budget.jumps > 0) {
    for (const jump of jumps)
      yield { what: `a ${jump} passes`, to: { ...world, now: world.now + JUMPS_MS[jump], budget: spend(world, 'jumps') } };
  }
  if (world.budget.backJumps > 0)
    yield { what: 'the clock steps back', to: { ...world, now: world.now + BACK_MS, budget: spend(world, 'backJumps') } };
}

/** Sweeps, replays and burials: written at once, by whoever is up. */
function* administration(world: World): Generator<Step> {
  const owner = world.owners.find((o) => o.up);
  if (!owner) return;
  const { now } = world;
  for (const head of Object.values(world.heads)) {
    const { requestId, lease } = head;
    if (lease) {
      // A boot that is over is known to be gone: the folder's lock, or a task that has ended, proves it.
      const gone = !world.owners.some((o) => o.up && ownerId(o) === lease.owner);
      const message: Message = { kind: 'takeover', nonce: `${ownerId(owner)}.take${lease.nonce}`, requestId, gone, now };
      const { world: to } = apply(world, message);
      if (to !== world) yield { what: `the sweep frees ${requestId}`, message, to };
    }
    if (head.state === 'DEAD' && world.budget.replays > 0) {
      const number = world.budget.replays;
      const to = begin(world, owner, (nonce) => ({
        message: { kind: 'replay', nonce, requestId, replayId: `rpl${number}`, now },
        phase: 'administering',
      }));
      yield { what: `a replay of ${requestId} is asked`, to: { ...to, budget: spend(world, 'replays') } };
    }
    if (world.budget.buries > 0) {
      const to = begin(world, owner, (nonce) => ({ message: { kind: 'bury', nonce, requestId, now }, phase: 'administering' }));
      yield { what: `${requestId} is to be buried`, to: { ...to, budget: spend(world, 'buries') } };
    }
  }
}

/** What may happen at all in one exploration. */
export interface Scope {
  asks: readonly Ask[];
  ends: readonly End[];
  jumps: readonly Jump[];
  budget: Budget;
}

/** Everything that may happen next in this world. */
export function* stepsFrom(world: World, scope: Scope): Generator<Step> {
  yield* asks(world, scope.asks);
  for (const message of world.air) yield* arrivals(world, message);
  yield* claims(world);
  yield* endings(world, scope.ends);
  yield* lives(world);
  yield* clock(world, scope.jumps);
  yield* administration(world);
}
