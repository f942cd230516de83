import { type Explored, explore } from './model/explore.js';
import type { Jump } from './model/steps.js';
import type { Ask, Budget, End } from './model/world.js';

/**
 * Every order in which two owners, their crashes, their lost, late and repeated messages and a stepping clock can meet, over the
 * real rules, within small bounds (faults of such protocols show in small scopes: Jackson, "Software Abstractions").
 * model/world.ts says what a world is, model/steps.ts what may happen in it, model/properties.ts what must hold.
 */
const NOTHING: Budget = {
  accepts: 0,
  claims: 0,
  undos: 0,
  crashes: 0,
  jumps: 0,
  backJumps: 0,
  losses: 0,
  repeats: 0,
  replays: 0,
  buries: 0,
};

const asyncFirst: Ask = { id: 'async', mode: 'async', digest: 'd' };
const asyncAgain: Ask = { id: 'async-again', mode: 'async', digest: 'd' };
const syncFirst: Ask = { id: 'sync', mode: 'sync', digest: 'd' };
const syncAgain: Ask = { id: 'sync-again', mode: 'sync', digest: 'd' };
const otherPayload: Ask = { id: 'other', mode: 'async', digest: 'x' };
const keyless: Ask = { id: 'keyless', mode: 'async' };
const keylessSync: Ask = { id: 'keyless-sync', mode: 'sync' };

interface Scenario {
  title: string;
  asks: Ask[];
  ends: End[];
  jumps: Jump[];
  budget: Partial<Budget>;
  /** Must have been reached: a space that gets nowhere proves nothing. */
  reached: string[];
}

const SCENARIOS: Scenario[] = [
  {
    title: 'an async request through failures of both kinds, lost answers and time',
    asks: [asyncFirst],
    ends: ['success', 'fails', 'lost'],
    jumps: ['silence', 'lease', 'day'],
    budget: { claims: 3, jumps: 1, losses: 1 },
    reached: ['SUCCEEDED', 'RETRYING', 'DEAD max_retries', 'DEAD max_age'],
  },
  {
    title: 'the same with late and repeated messages',
    asks: [asyncFirst],
    ends: ['success', 'fails'],
    jumps: ['silence', 'day'],
    budget: { claims: 3, jumps: 1, losses: 1, repeats: 1 },
    reached: ['SUCCEEDED', 'RETRYING', 'DEAD max_retries', 'DEAD max_age'],
  },
  {
    title: 'claims released, deferred and parked, with a crash and a lost answer',
    asks: [asyncFirst],
    ends: ['success', 'fails'],
    jumps: ['silence'],
    budget: { claims: 2, undos: 1, jumps: 1, crashes: 1, losses: 1 },
    reached: ['ACCEPTED', 'SUCCEEDED', 'RETRYING', 'DEAD max_retries'],
  },
  {
    title: 'owners that die while they run it',
    asks: [asyncFirst],
    ends: ['success'],
    jumps: [],
    budget: { claims: 3, crashes: 3, losses: 1 },
    reached: ['SUCCEEDED', 'DEAD poison'],
  },
  {
    title: 'a dead letter replayed, with repeats of everything said before',
    asks: [asyncFirst],
    ends: ['success', 'fails'],
    jumps: ['silence'],
    budget: { claims: 3, jumps: 1, replays: 1, repeats: 2, losses: 1 },
    reached: ['SUCCEEDED', 'RETRYING', 'DEAD max_retries'],
  },
  {
    title: 'a request buried while it waits, runs and has ended',
    asks: [asyncFirst],
    ends: ['success', 'fails'],
    jumps: [],
    budget: { claims: 2, buries: 1, crashes: 1, repeats: 1, losses: 1 },
    reached: ['SUCCEEDED', 'DEAD function_deleted'],
  },
  {
    title: 'a sync call buried while it runs, and replays asked of it',
    asks: [syncFirst, syncAgain],
    ends: ['success'],
    jumps: [],
    budget: { buries: 2, replays: 1, crashes: 1, repeats: 1 },
    reached: ['SUCCEEDED', 'FAILED'],
  },
  {
    title: 'a dead letter that dies again after its replay, which is then repeated',
    asks: [asyncFirst],
    ends: ['success'],
    jumps: [],
    budget: { claims: 1, buries: 2, replays: 2, repeats: 1, losses: 1 },
    reached: ['SUCCEEDED', 'RETRYING', 'DEAD function_deleted'],
  },
  {
    title: 'two async requests under one key, within its day and after it, the clock stepping back',
    asks: [asyncFirst, asyncAgain],
    ends: ['success'],
    jumps: ['silence', 'day'],
    budget: { claims: 2, jumps: 1, backJumps: 1 },
    reached: ['SUCCEEDED', 'DEAD max_age'],
  },
  {
    title: 'the same key with another payload',
    asks: [asyncFirst, otherPayload],
    ends: ['success', 'fails'],
    jumps: ['silence'],
    budget: { claims: 2, jumps: 1 },
    reached: ['SUCCEEDED', 'DEAD max_retries'],
  },
  {
    title: 'two sync calls under one key, with a crash, a refusal and a lost answer',
    asks: [syncFirst, syncAgain],
    ends: ['success', 'lost'],
    jumps: ['silence'],
    budget: { undos: 1, crashes: 1, jumps: 1, losses: 1 },
    reached: ['SUCCEEDED', 'FAILED'],
  },
  {
    title: 'two sync calls under one key, with a late or repeated message',
    asks: [syncFirst, syncAgain],
    ends: ['success', 'fails', 'late', 'lost'],
    jumps: [],
    budget: { undos: 1, crashes: 2, repeats: 1 },
    reached: ['SUCCEEDED', 'FAILED', 'TIMED_OUT'],
  },
  {
    title: 'a sync call, then an async one under its key',
    asks: [syncFirst, asyncAgain],
    ends: ['success', 'lost'],
    jumps: ['lease'],
    budget: { claims: 1, crashes: 1, jumps: 1, repeats: 1 },
    reached: ['ACCEPTED', 'RETRYING', 'SUCCEEDED', 'FAILED'],
  },
  {
    title: 'an async request without a key, its acceptance repeated',
    asks: [keyless],
    ends: ['success', 'fails'],
    jumps: ['silence'],
    budget: { claims: 2, crashes: 1, jumps: 1, repeats: 1 },
    reached: ['SUCCEEDED', 'DEAD max_retries'],
  },
  {
    title: 'a sync call without a key that was written early',
    asks: [keylessSync],
    ends: ['success', 'late'],
    jumps: ['silence', 'lease'],
    budget: { crashes: 1, jumps: 1, repeats: 1, losses: 1, undos: 1 },
    reached: ['SUCCEEDED', 'TIMED_OUT', 'FAILED'],
  },
];

function tell(title: string, found: Explored): void {
  const ends = Object.entries(found.ends).map(([end, count]) => `${end} ${count}`);
  process.stdout.write(
    `  ${title}: ${found.states} states, ${found.transitions} transitions, depth ${found.depth}, ${found.recoveries} heads recovered (${ends.join(', ')})\n`,
  );
}

describe('the state space of an invocation', () => {
  let states = 0;
  afterAll(() => process.stdout.write(`  in all ${states} states\n`));

  it.each(SCENARIOS)('loses, doubles and forgets nothing: $title', ({ title, budget, reached, ...scope }) => {
    const found = explore({ ...scope, budget: { ...NOTHING, ...budget } });
    tell(title, found);
    states += found.states;
    expect(found.broken).toBeUndefined();
    expect(Object.keys(found.ends)).toEqual(expect.arrayContaining(reached));
  });
});
