import fc from 'fast-check';
import { CronScheduler, type Fired } from '../../../lib/core/triggers/cron-scheduler.js';
import type { CronTrigger } from '../../../lib/core/triggers/model.js';
import { ManualClock } from './manual-clock.js';

const START = Date.parse('2026-11-20T10:00:00.400Z');
const trigger = (over: Partial<CronTrigger> = {}): CronTrigger =>
  ({
    type: 'cron',
    triggerId: 'trg_1',
    schedule: '* * * * * *',
    timezone: 'UTC',
    input: '{}',
    missedRuns: 'once',
    handledThrough: START,
    createdAt: START,
    enabled: true,
    ...over,
  }) as CronTrigger;
const sec = (ms: number) => (ms - Math.floor(START / 1000) * 1000) / 1000;

/** What survives a crash: accepted keys, and how far the schedule is known to have come. */
class World {
  readonly clock = new ManualClock(START);
  accepted: number[] = [];
  early = 0;
  handledThrough = START;
  answer: (dueAt: number) => Fired | undefined = () => undefined;
  loseHandled = false;
  scheduler!: CronScheduler;

  boot(over: Partial<CronTrigger> = {}): Promise<void> {
    const mine = new CronScheduler({
      clock: this.clock,
      fire: async (_trigger, dueAt) => {
        if (mine !== this.scheduler) return { kind: 'gone' };
        if (this.clock.now() < dueAt) this.early += 1;
        const told = this.answer(dueAt);
        if (told) return told;
        if (this.accepted.includes(dueAt)) return { kind: 'repeated' };
        this.accepted.push(dueAt);
        return { kind: 'fired' };
      },
      handled: async (_trigger, through) => {
        if (this.loseHandled || mine !== this.scheduler) throw new Error('the store is away');
        this.handledThrough = Math.max(this.handledThrough, through);
      },
    });
    this.scheduler = mine;
    mine.start();
    return mine.set(trigger({ handledThrough: this.handledThrough, ...over }));
  }
}

describe('the scheduler', () => {
  it('fires each instant once, in order, never early, from the first after its creation on', async () => {
    const world = new World();
    await world.boot();
    await world.clock.advance(5_200);
    expect(world.accepted.map(sec)).toEqual([1, 2, 3, 4, 5]);
    expect(world.early).toBe(0);
  });

  it('fires nothing after a trigger was removed', async () => {
    const world = new World();
    await world.boot();
    await world.clock.advance(1_000);
    await world.scheduler.remove(trigger().triggerId);
    await world.clock.advance(5_000);
    expect(world.accepted.map(sec)).toEqual([1]);
  });

  it('makes up once for what was missed while it was down, under the first instant that was', async () => {
    const world = new World();
    await world.boot();
    await world.clock.advance(2_000);
    world.clock.crash();
    world.clock.jump(10_000);
    await world.boot();
    await world.clock.advance(2_000);
    expect(world.accepted.map(sec)).toEqual([1, 2, 3, 13, 14]);
  });

  it('makes up nothing where that is the setting', async () => {
    const world = new World();
    await world.boot();
    await world.clock.advance(2_000);
    world.clock.crash();
    world.clock.jump(10_000);
    await world.boot({ missedRuns: 'skip' });
    await world.clock.advance(2_000);
    expect(world.accepted.map(sec)).toEqual([1, 2, 13, 14]);
  });

  it('makes up for a missed run though the last one before the crash was not noted', async () => {
    const world = new World();
    await world.boot();
    await world.clock.advance(1_000);
    world.loseHandled = true;
    await world.clock.advance(1_000);
    world.clock.crash();
    world.loseHandled = false;
    world.clock.jump(10_000);
    await world.boot();
    await world.clock.advance(1_000);
    expect(world.accepted.map(sec)).toEqual([1, 2, 3, 13]);
  });

  it('catches up one by one when it is a little late, and once when it slept', async () => {
    const world = new World();
    await world.boot();
    world.clock.jump(3_000);
    await world.clock.advance(1_000);
    expect(world.accepted.map(sec)).toEqual([1, 2, 3, 4]);
    world.clock.jump(3_600_000);
    await world.clock.advance(61_000);
    const after = world.accepted.map(sec).slice(4);
    expect(after[0]).toBe(5);
    expect(after[1]).toBeGreaterThan(3_600);
  });

  it('runs no instant twice when the clock is set back', async () => {
    const world = new World();
    await world.boot();
    await world.clock.advance(3_000);
    world.clock.jump(-2_000);
    await world.clock.advance(4_000);
    expect(world.accepted.map(sec)).toEqual([1, 2, 3, 4, 5]);
  });

  it('tries an instant again that could not be accepted, and goes on in order', async () => {
    const world = new World();
    let refusals = 3;
    world.answer = () => {
      refusals -= 1;
      return refusals >= 0 ? { kind: 'later', retryInMs: 700 } : undefined;
    };
    await world.boot();
    await world.clock.advance(5_000);
    expect(world.accepted.map(sec)).toEqual([1, 2, 3, 4, 5]);
  });

  it('passes over instants at which nothing could run', async () => {
    const world = new World();
    world.answer = (dueAt) => (sec(dueAt) < 3 ? { kind: 'skipped' } : undefined);
    await world.boot();
    await world.clock.advance(4_000);
    expect(world.accepted.map(sec)).toEqual([3, 4]);
  });

  it('ends a schedule that has no instant left, and one whose function is gone', async () => {
    const world = new World();
    await world.boot({ schedule: 'at(2026-11-20T10:00:03)' });
    await world.clock.advance(100_000);
    expect(world.accepted.map(sec)).toEqual([3]);
    const other = new World();
    other.answer = () => ({ kind: 'gone' });
    await other.boot();
    await other.clock.advance(10_000);
    expect(other.accepted).toEqual([]);
  });

  it('fires thousands of schedules with one timer', async () => {
    const clock = new ManualClock(START);
    let timers = 0;
    const counting = {
      now: () => clock.now(),
      monotonicMs: () => 0,
      after: (ms: number, run: () => void) => {
        timers += 1;
        const cancel = clock.after(ms, () => {
          timers -= 1;
          run();
        });
        return () => {
          timers -= 1;
          cancel();
        };
      },
    };
    let fired = 0;
    const scheduler = new CronScheduler({
      clock: counting,
      fire: async () => {
        fired += 1;
        return { kind: 'fired' };
      },
      handled: async () => {},
    });
    scheduler.start();
    for (let i = 0; i < 2000; i += 1) await scheduler.set(trigger({ triggerId: `trg_${i}` as never, schedule: `${i % 60} * * * *` }));
    expect(timers).toBe(1);
    await clock.advance(3_600_000);
    expect(fired).toBe(2000);
  });

  it('accepts every instant at most once and misses none while it runs, through any crashes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ upMs: fc.integer({ min: 0, max: 6000 }), downMs: fc.integer({ min: 0, max: 6000 }), loses: fc.boolean() }), {
          minLength: 1,
          maxLength: 8,
        }),
        async (lives) => {
          const world = new World();
          const expected = new Set<number>();
          for (const { upMs, downMs, loses } of lives) {
            world.loseHandled = loses;
            const upAt = world.clock.now();
            await world.boot();
            await world.clock.advance(upMs);
            for (let at = Math.floor(upAt / 1000) * 1000 + 1000; at <= world.clock.now(); at += 1000) expected.add(at);
            world.clock.crash();
            world.clock.jump(downMs);
          }
          expect(new Set(world.accepted).size).toBe(world.accepted.length);
          for (const at of expected) expect(world.accepted.map(sec)).toContain(sec(at));
          expect(world.early).toBe(0);
          // At most one run a life makes up for what was missed before it.
          expect(world.accepted.length - expected.size).toBeLessThanOrEqual(lives.length);
        },
      ),
      { numRuns: 100 },
    );
  });
});
