import fc from 'fast-check';
import { asFunctionId, asRequestId, asTenantId } from '../../../lib/core/ids.js';
import type { ReadyEntry } from '../../../lib/core/invocations/port.js';
import { PREFETCH, ReadyQueue } from '../../../lib/core/scheduling/ready-queue.js';

const [tenantId, functionId] = [asTenantId('default'), asFunctionId('fn_a')];
const entry = (id: number, readyAt = id): ReadyEntry => ({
  requestId: asRequestId(`req_${id}`),
  tenantId,
  functionId,
  priority: 'normal',
  qualifier: '$LATEST',
  readyAt,
  payloadBytes: 10,
  alone: false,
});
const none = () => false;

describe('a ready queue', () => {
  it('gives the soonest first, and first come first among equals', () => {
    const queue = new ReadyQueue(tenantId, functionId, 'normal');
    for (const each of [entry(1, 5), entry(2, 3), entry(3, 5), entry(4, 1)]) queue.offer(each);
    expect([queue.take(), queue.take(), queue.take(), queue.take()].map((e) => e?.requestId)).toEqual(['req_4', 'req_2', 'req_1', 'req_3']);
  });

  it('holds no more than its prefetch in memory, whatever is offered, and counts all', () => {
    const queue = new ReadyQueue(tenantId, functionId, 'normal');
    for (let i = 0; i < 100_000; i += 1) queue.offer(entry(i));
    expect([queue.heldCount, queue.count, queue.bytes, queue.more]).toEqual([PREFETCH, 100_000, 1_000_000, true]);
  });

  it('puts a sooner one before a full memory of later ones', () => {
    const queue = new ReadyQueue(tenantId, functionId, 'normal');
    for (let i = 0; i < PREFETCH; i += 1) queue.offer(entry(i, 1_000_000 + i));
    queue.offer(entry(9_999, 1));
    expect(queue.take()?.requestId).toBe('req_9999');
  });

  it('hands each entry out once, all of them, the soonest first of what the store has, whatever the order of offers, takes and refills', () => {
    const step = fc.oneof(
      fc.record({ offer: fc.integer({ min: 0, max: 50 }) }),
      fc.constant({ take: true }),
      fc.constant({ refill: true }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 1, max: 4 }), (steps, burst) => {
        const queue = new ReadyQueue(tenantId, functionId, 'normal');
        const store: ReadyEntry[] = [];
        const taken: string[] = [];
        let id = 0;
        const refill = () => {
          queue.beginRefill();
          const sorted = [...store].sort((a, b) => a.readyAt - b.readyAt || Number(a.requestId.slice(4)) - Number(b.requestId.slice(4)));
          queue.refill(sorted.slice(0, PREFETCH), PREFETCH, none);
        };
        const take = () => {
          const got = queue.take();
          if (!got) return false;
          expect(store.every((other) => other.readyAt >= got.readyAt)).toBe(true);
          store.splice(
            store.findIndex((each) => each.requestId === got.requestId),
            1,
          );
          taken.push(got.requestId);
          return true;
        };
        for (const each of steps) {
          if ('offer' in each) {
            for (let n = 0; n < burst * 40; n += 1) {
              id += 1;
              const one = entry(id, each.offer);
              store.push(one);
              queue.offer(one);
            }
          } else if ('take' in each) take();
          else if (queue.wantsMore) refill();
        }
        while (!queue.isEmpty) if (!take()) refill();
        expect(new Set(taken).size).toBe(id);
        expect(taken).toHaveLength(id);
      }),
      { numRuns: 15 },
    );
  });
});
