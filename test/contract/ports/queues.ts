import fc from 'fast-check';
import { asTenantId, asTriggerId } from '../../../lib/core/ids.js';
import type { Attempt } from '../../../lib/core/invocations/model.js';
import type { MessageEnd, NewMessage, QueueStore, TakeRequest } from '../../../lib/core/triggers/port.js';

const a = asTenantId('a');
const HOUR_MS = 3_600_000;
const message = (messageId: string, over: Partial<NewMessage> = {}): NewMessage => ({
  messageId,
  given: true,
  body: `body of ${messageId}`,
  md5: 'x',
  sentAt: 1,
  ...over,
});
const failure = (attempt: number): Attempt => ({ attempt, outcome: 'FAILED', fault: 'tenant', billedMs: 0 }) as Attempt;

/** Every adapter of QueueStore is held to this. */
export function queueStoreContract(name: string, make: () => Promise<{ store: QueueStore; close(): Promise<void> }>): void {
  describe(`a queue store (${name})`, () => {
    let store: QueueStore;
    let close: () => Promise<void>;
    beforeEach(async () => {
      ({ store, close } = await make());
    });
    afterEach(() => close());

    const put = (messages: NewMessage[], now = 1000, over: Partial<Parameters<QueueStore['put']>[0]> = {}) =>
      store.put({
        tenantId: a,
        queue: 'q',
        messages,
        dedupeMs: 24 * HOUR_MS,
        maxItems: 10_000,
        maxBytes: 1e9,
        maxQueues: 1000,
        now,
        ...over,
      });
    let batches = 0;
    const take = (over: Partial<TakeRequest> = {}) => {
      batches += 1;
      const ids = { batchId: `bat_${batches}`, tenantId: a, queue: 'q', triggerId: asTriggerId('trg_1'), qualifier: '$LATEST' };
      return store.take({ ...ids, batchSize: 10, batchWindowMs: 0, maxBytes: 1e6, now: 2000, ...over });
    };
    const batchOf = async (over: Partial<TakeRequest> = {}) => {
      const taken = await take(over);
      if (taken.kind !== 'batch') throw new Error(`nothing, until ${taken.until}`);
      return taken.batch;
    };
    const idsOf = (batch: { messages: { messageId: string }[] }) => batch.messages.map(({ messageId }) => messageId);
    const gone = (messageId: string): MessageEnd => ({ messageId, kind: 'gone' });
    const again = (messageId: string, notBefore: number, attempt = 1): MessageEnd => ({
      messageId,
      kind: 'again',
      notBefore,
      failure: failure(attempt),
    });

    it('hands messages out in order, each once, in batches of the size asked for', async () => {
      const ids = Array.from({ length: 25 }, (_, i) => `m-${i}`);
      expect(await put(ids.map((id) => message(id)))).toEqual({ kind: 'accepted', duplicates: [] });
      const taken = [await batchOf(), await batchOf(), await batchOf()];
      expect(taken.map((each) => each.messages.length)).toEqual([10, 10, 5]);
      expect(taken.flatMap(idsOf)).toEqual(ids);
      expect(await take()).toEqual({ kind: 'nothing', until: undefined });
      expect(taken[0]!.messages[0]).toMatchObject({ body: 'body of m-0', sentAt: 1, failures: [], firstReceivedAt: 2000 });
      expect(await store.queue(a, 'q')).toMatchObject({ depth: 25, inFlight: 25, oldestSentAt: 1000 });
    });

    it('makes a batch once, however often it is asked for by its id', async () => {
      await put([message('m-1'), message('m-2')]);
      const first = await batchOf({ batchId: 'bat_x', batchSize: 1 });
      expect(await batchOf({ batchId: 'bat_x', batchSize: 1 })).toEqual(first);
      expect(await store.open(a, 'q')).toEqual([first]);
    });

    it('lets an id enter once while it waits, while it is in flight, and for 24 h after it was sent', async () => {
      await put([message('m-1')], 1000);
      expect(await put([message('m-1'), message('m-2'), message('m-2')], 1001)).toEqual({ kind: 'accepted', duplicates: ['m-1', 'm-2'] });
      const batch = await batchOf();
      expect(await put([message('m-1')], 1002)).toEqual({ kind: 'accepted', duplicates: ['m-1'] });
      await store.settle(batch.batchId, [gone('m-1'), gone('m-2')], 2000);
      expect(await put([message('m-1')], 1000 + 24 * HOUR_MS - 1)).toEqual({ kind: 'accepted', duplicates: ['m-1'] });
      expect(await put([message('m-1')], 1000 + 24 * HOUR_MS)).toEqual({ kind: 'accepted', duplicates: [] });
      expect(await put([message('m-1')], 1002, { queue: 'other' })).toEqual({ kind: 'accepted', duplicates: [] });
      expect(await put([message('m-1')], 1002, { tenantId: asTenantId('b') })).toEqual({ kind: 'accepted', duplicates: [] });
    });

    it('waits for a full batch until the window of its oldest message has passed', async () => {
      await put([message('m-1')], 1000);
      expect(await take({ batchWindowMs: 500, now: 1200 })).toEqual({ kind: 'nothing', until: 1500 });
      await put(
        Array.from({ length: 9 }, (_, i) => message(`n-${i}`)),
        1300,
      );
      expect((await batchOf({ batchWindowMs: 500, now: 1301 })).messages).toHaveLength(10);
      await put([message('m-2')], 2000);
      expect(idsOf(await batchOf({ batchWindowMs: 500, now: 2500 }))).toEqual(['m-2']);
    });

    it('bounds a batch by bytes, but hands out at least one message', async () => {
      await put(Array.from({ length: 5 }, (_, i) => message(`m-${i}`, { body: 'x'.repeat(1000) })));
      expect((await batchOf({ maxBytes: 3000 })).messages).toHaveLength(2);
      expect((await batchOf({ maxBytes: 10 })).messages).toHaveLength(1);
    });

    it('gives a failed message out again when it is due, with what it failed of', async () => {
      await put([message('m-1'), message('m-2', { given: false })]);
      const first = await batchOf();
      expect(await store.settle(first.batchId, [again('m-1', 5000), gone('m-2')], 2000)).toBe(true);
      expect(await store.settle(first.batchId, [again('m-1', 9000), gone('m-2')], 2000)).toBe(false);
      expect(await take({ now: 4999 })).toEqual({ kind: 'nothing', until: 5000 });
      const second = await batchOf({ now: 5000 });
      expect(second.messages).toMatchObject([{ messageId: 'm-1', firstReceivedAt: 2000, failures: [{ attempt: 1 }] }]);
      expect(await store.queue(a, 'q')).toMatchObject({ depth: 1, inFlight: 1 });
      await store.settle(second.batchId, [gone('m-1')], 6000);
      expect(await store.queue(a, 'q')).toMatchObject({ depth: 0, inFlight: 0, bytes: 0, oldestSentAt: undefined });
    });

    it('takes a batch back uncounted', async () => {
      await put([message('m-1')]);
      const batch = await batchOf();
      expect(await store.release(batch.batchId, 3000)).toBe(true);
      expect(await store.release(batch.batchId, 3000)).toBe(false);
      expect(await store.open(a, 'q')).toEqual([]);
      expect((await batchOf({ now: 3000 })).messages[0]!.failures).toEqual([]);
    });

    it('counts the faults of the platform with the batch', async () => {
      await put([message('m-1')]);
      const { batchId } = await batchOf();
      expect([await store.faulted(batchId), await store.faulted(batchId)]).toEqual([1, 2]);
      expect((await store.open(a, 'q'))[0]).toMatchObject({ platformFaults: 2 });
    });

    it('hands out a group in order: the next message only when the one before is settled', async () => {
      await put([message('g-1', { group: 'g' }), message('h-1', { group: 'h' }), message('g-2', { group: 'g' }), message('x')]);
      const first = await batchOf({ batchSize: 1 });
      expect(idsOf(first)).toEqual(['g-1']);
      const second = await batchOf();
      expect(idsOf(second).sort()).toEqual(['h-1', 'x']);
      await put([message('g-3', { group: 'g' })]);
      expect(await take()).toEqual({ kind: 'nothing', until: undefined });
      await store.settle(first.batchId, [again('g-1', 5000)], 2000);
      expect(await take({ now: 4000 })).toEqual({ kind: 'nothing', until: 5000 });
      expect(idsOf(await batchOf({ now: 5000 }))).toEqual(['g-1', 'g-2', 'g-3']);
    });

    it('refuses a call as a whole where the backlog is full, and one queue too many', async () => {
      expect(
        await put(
          Array.from({ length: 600 }, (_, i) => message(`m-${i}`)),
          1000,
          { maxItems: 599 },
        ),
      ).toEqual({ kind: 'backlog' });
      expect(await store.queue(a, 'q')).toBeUndefined();
      expect(await put([message('m', { body: 'x'.repeat(1000) })], 1000, { maxBytes: 1000 })).toEqual({ kind: 'backlog' });
      await put([message('m')], 1000, { maxQueues: 1 });
      expect(await put([message('m')], 1000, { queue: 'r', maxQueues: 1 })).toEqual({ kind: 'queues' });
      expect(await put([message('n')], 1000, { maxQueues: 1 })).toMatchObject({ kind: 'accepted' });
    });

    it('forgets ids and untaken messages when it is told to, and keeps what is in flight', async () => {
      await put([message('m-1'), message('m-2', { group: 'g' }), message('m-3', { group: 'g' })], 1000);
      const batch = await batchOf({ batchSize: 1, now: 1000 });
      await store.settle(batch.batchId, [gone('m-1')], 1000);
      const open = await batchOf({ batchSize: 1, now: 1000 });
      expect(await store.forget({ settledBefore: 1001, expireBefore: 1001, limit: 10 })).toBe(2);
      expect(await store.queue(a, 'q')).toMatchObject({ depth: 1, inFlight: 1 });
      expect(await put([message('m-1')], 1002)).toMatchObject({ duplicates: [] });
      await store.settle(open.batchId, [again('m-2', 0)], 1002);
      expect(idsOf(await batchOf({ now: 1002 })).sort()).toEqual(['m-1', 'm-2']);
    });

    it('lists queues by name, of this tenant, without those that messages of elsewhere pass through', async () => {
      for (const queue of ['b', 'a', 'c', 'sqs:1']) await put([message('m')], 1000, { queue });
      await put([message('m')], 1000, { queue: 'z', tenantId: asTenantId('b') });
      const first = await store.queues(a, { limit: 2 });
      const rest = await store.queues(a, { limit: 2, cursor: first.nextCursor });
      expect([...first.items, ...rest.items].map((each) => each.name)).toEqual(['a', 'b', 'c']);
      expect(rest.nextCursor).toBeUndefined();
    });

    it('never loses or doubles a message, and keeps each group in order, whatever is done to it', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 99 })), { maxLength: 40 }),
          async (steps) => {
            batches += 1;
            const queue = `p${batches}`;
            let now = 1000;
            const sent: string[] = [];
            const done: string[] = [];
            const open = new Map<string, string[]>();
            const act = async (step: number, n: number) => {
              now += 10;
              if (step === 0) {
                const fresh = Array.from({ length: (n % 5) + 1 }, (_, i) =>
                  message(`${n % 2 ? `g${n % 3}` : 'x'}-${String(sent.length + i).padStart(4, '0')}`, n % 2 ? { group: `g${n % 3}` } : {}),
                );
                await put(fresh, now, { queue });
                sent.push(...fresh.map((each) => each.messageId));
              } else if (step === 1) {
                const taken = await take({ queue, batchSize: (n % 4) + 1, now });
                if (taken.kind === 'batch') open.set(taken.batch.batchId, idsOf(taken.batch));
              } else {
                const [batchId, ids] = [...open][n % Math.max(1, open.size)] ?? [];
                if (!batchId || !ids) return;
                open.delete(batchId);
                if (step === 2) return void (await store.release(batchId, now + n));
                // A group's messages fail from some place on, as a careful handler reports them.
                const failed = new Set(step === 3 ? ids.slice(n % (ids.length + 1)) : []);
                await store.settle(
                  batchId,
                  ids.map((id) => (failed.has(id) ? again(id, now + n) : gone(id))),
                  now,
                );
                done.push(...ids.filter((id) => !failed.has(id)));
              }
            };
            for (const [step, n] of steps) await act(step, n);
            for (const [batchId, ids] of open) {
              await store.settle(batchId, ids.map(gone), now);
              done.push(...ids);
            }
            now += 1000;
            for (;;) {
              const taken = await take({ queue, now });
              if (taken.kind !== 'batch') break;
              await store.settle(taken.batch.batchId, idsOf(taken.batch).map(gone), now);
              done.push(...idsOf(taken.batch));
            }
            expect([...done].sort()).toEqual([...sent].sort());
            for (const group of ['g0', 'g1', 'g2']) {
              const order = done.filter((id) => id.startsWith(group));
              expect(order).toEqual([...order].sort());
            }
            if (sent.length > 0) expect(await store.queue(a, queue)).toMatchObject({ depth: 0, inFlight: 0, bytes: 0 });
          },
        ),
        { numRuns: 60 },
      );
    });
  });
}
