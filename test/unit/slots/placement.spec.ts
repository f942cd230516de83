import fc from 'fast-check';
import {
  expectedWaitMs,
  isShort,
  type PoolView,
  slotDepth,
  slotValue,
  typicalAfter,
  wantsAnotherSlot,
} from '../../../lib/core/scheduling/placement';

const view = (over: Partial<PoolView>): PoolView => ({
  busy: [],
  starting: 0,
  waiting: 1,
  serviceMs: undefined,
  typicalMs: over.serviceMs,
  cores: 2,
  coldStartMs: 25,
  slots: over.busy?.length ?? 0,
  maxSlots: Number.POSITIVE_INFINITY,
  ...over,
});
const at = (...elapsed: number[]) => elapsed.map((elapsedMs) => ({ elapsedMs, queued: 0 }));

describe('placement', () => {
  it.each<[string, boolean, Partial<PoolView>]>([
    ['starts the first slot', true, {}],
    ['waits for a slot on its way', false, { starting: 1, slots: 1 }],
    ['starts one for each call while the handler is unknown', true, { starting: 1, slots: 1, waiting: 2 }],
    ['queues behind a short handler', false, { busy: at(0.01), serviceMs: 0.03, waiting: 60 }],
    ['starts another when short calls are very many', true, { busy: at(0.01), serviceMs: 0.03, waiting: 2000 }],
    ['gives short calls no more slots than there are processors', false, { busy: at(0.01, 0.01), serviceMs: 0.03, waiting: 5000 }],
    [
      'does not count a short call as one that moves when it has stood for long',
      true,
      { busy: at(0.01, 3000), serviceMs: 0.03, waiting: 2000 },
    ],
    ['adds slots for short calls one after the other', false, { busy: at(0.01), starting: 1, serviceMs: 0.03, waiting: 5000 }],
    ['starts another beside a handler that takes longer than a cold start', true, { busy: at(10), serviceMs: 500 }],
    ['waits for a long call that is nearly done', false, { busy: at(490), serviceMs: 500 }],
    ['does not wait for a call that has long outlived the average', true, { busy: at(100), serviceMs: 1, typicalMs: 0.9 }],
    ['waits where one of many slots is soon free', false, { busy: at(0, 100, 490), serviceMs: 500 }],
    ['starts another where only the first of two waiting calls is soon served', true, { busy: at(0, 490), serviceMs: 500, waiting: 2 }],
    ['never goes over the most', false, { busy: at(0), serviceMs: 500, maxSlots: 1 }],
  ])('%s', (_title, starts, over) => {
    expect(wantsAnotherSlot(view(over))).toBe(starts);
  });

  const views: fc.Arbitrary<PoolView> = fc.record({
    busy: fc.array(fc.record({ elapsedMs: fc.double({ min: 0, max: 1e4, noNaN: true }), queued: fc.nat(32) }), { maxLength: 10 }),
    starting: fc.nat(5),
    waiting: fc.integer({ min: 1, max: 500 }),
    serviceMs: fc.option(fc.double({ min: 0.001, max: 1e4, noNaN: true }), { nil: undefined }),
    typicalMs: fc.option(fc.double({ min: 0.001, max: 1e4, noNaN: true }), { nil: undefined }),
    cores: fc.integer({ min: 1, max: 64 }),
    coldStartMs: fc.double({ min: 1, max: 500, noNaN: true }),
    slots: fc.nat(20),
    maxSlots: fc.constantFrom(1, 5, Number.POSITIVE_INFINITY),
  });

  it('waiting never gets shorter by more calls, nor longer by another slot', () => {
    fc.assert(
      fc.property(views, (one) => {
        const wait = expectedWaitMs(one);
        expect(wait).toBeGreaterThanOrEqual(0);
        const tolerance = 1e-4 * (1 + (Number.isFinite(wait) ? wait : 0));
        expect(expectedWaitMs({ ...one, waiting: one.waiting + 1 }) + tolerance).toBeGreaterThanOrEqual(wait);
        expect(expectedWaitMs({ ...one, starting: one.starting + 1 })).toBeLessThanOrEqual(wait + tolerance);
        expect(expectedWaitMs({ ...one, busy: [...one.busy, { elapsedMs: 0, queued: 0 }] })).toBeLessThanOrEqual(wait + tolerance);
      }),
    );
  });

  it('starts until every waiting call is served or nothing more is allowed, and then stops', () => {
    fc.assert(
      fc.property(views, (one) => {
        let now = one;
        let started = 0;
        while (wantsAnotherSlot(now)) {
          now = { ...now, starting: now.starting + 1, slots: now.slots + 1 };
          started += 1;
          expect(started).toBeLessThanOrEqual(one.waiting);
        }
      }),
    );
  });

  it('queues ahead only behind short calls, about a millisecond of them', () => {
    expect([slotDepth(1, undefined), slotDepth(1, 5), slotDepth(1, 1)]).toEqual([1, 1, 1]);
    expect([slotDepth(1, 0.5), slotDepth(1, 0.1), slotDepth(1, 0.0001)]).toEqual([3, 11, 33]);
    expect(slotDepth(8, 0.1)).toBe(8);
  });

  it('takes a handler for short by what most calls take, not by a stall', () => {
    let typical: number | undefined;
    for (let n = 0; n < 1000; n += 1) typical = typicalAfter(typical, n % 10 === 9 ? 20 : 0.03);
    expect(isShort(typical)).toBe(true);
    for (let n = 0; n < 1000; n += 1) typical = typicalAfter(typical, n % 10 === 9 ? 500 : 0.03);
    expect(isShort(typical)).toBe(false);
  });

  it('gives up first what is idle long, seldom used, large and cheap to start again', () => {
    const base = { heat: 10, coldStartMs: 25, memoryMb: 128, idleMs: 1000 };
    const value = slotValue(base);
    for (const less of [{ heat: 0 }, { coldStartMs: 5 }, { memoryMb: 1024 }, { idleMs: 300_000 }])
      expect(slotValue({ ...base, ...less })).toBeLessThan(value);
  });
});
