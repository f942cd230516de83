import { asFunctionId, asTenantId, asTriggerId } from '../../../lib/core/ids.js';
import type { CronTrigger, HttpTrigger } from '../../../lib/core/triggers/model.js';
import type { TriggerStore } from '../../../lib/core/triggers/port.js';

const a = asTenantId('a');
const fn = asFunctionId('fn_1');
const base = { tenantId: a, functionId: fn, qualifier: '$LATEST', enabled: true, updatedAt: 1, revision: 1 };
const http = (id: string, over: Partial<HttpTrigger> = {}): HttpTrigger => ({
  ...{ ...base, type: 'http', triggerId: asTriggerId(id), createdAt: 1, path: '/x', methods: ['GET'], auth: 'none', idempotency: false },
  ...over,
});
const cron = (id: string, over: Partial<CronTrigger> = {}): CronTrigger => ({
  ...{ ...base, type: 'cron', triggerId: asTriggerId(id), createdAt: 1, schedule: '* * * * *', timezone: 'UTC', input: '{}' },
  ...{ missedRuns: 'once', handledThrough: 1000 },
  ...over,
});

/** Every adapter of TriggerStore is held to this. */
export function triggerStoreContract(name: string, make: () => Promise<{ store: TriggerStore; close(): Promise<void> }>): void {
  describe(`a trigger store (${name})`, () => {
    let store: TriggerStore;
    let close: () => Promise<void>;
    beforeEach(async () => {
      ({ store, close } = await make());
    });
    afterEach(() => close());

    it('gives back what was created, to its own tenant only, and takes the same write twice', async () => {
      const trigger = http('trg_1');
      expect(await store.create(trigger, ['http GET /x'], 10)).toEqual({ kind: 'created' });
      expect(await store.create(trigger, ['http GET /x'], 10)).toEqual({ kind: 'created' });
      expect(await store.get(a, trigger.triggerId)).toEqual(trigger);
      expect(await store.get(asTenantId('b'), trigger.triggerId)).toBeUndefined();
    });

    it('lets a claim be held once in a tenant, and frees it with its trigger', async () => {
      await store.create(http('trg_1'), ['http GET /x', 'http POST /x'], 10);
      expect(await store.create(http('trg_2'), ['http POST /x'], 10)).toEqual({ kind: 'taken', claim: 'http POST /x', by: 'trg_1' });
      expect(await store.create(http('trg_3', { tenantId: asTenantId('b') }), ['http POST /x'], 10)).toEqual({ kind: 'created' });
      expect(await store.remove(a, asTriggerId('trg_1'))).toBe(true);
      expect(await store.remove(a, asTriggerId('trg_1'))).toBe(false);
      expect(await store.create(http('trg_2'), ['http POST /x'], 10)).toEqual({ kind: 'created' });
    });

    it('moves claims with a change, or refuses the change as a whole', async () => {
      await store.create(http('trg_1'), ['http GET /x'], 10);
      await store.create(http('trg_2'), ['http GET /y'], 10);
      expect(await store.update(http('trg_2', { revision: 2 }), ['http GET /x'])).toEqual({
        kind: 'taken',
        claim: 'http GET /x',
        by: 'trg_1',
      });
      expect(await store.update(http('trg_1', { revision: 2 }), ['http GET /z'])).toEqual({ kind: 'updated' });
      expect(await store.update(http('trg_2', { revision: 2 }), ['http GET /x'])).toEqual({ kind: 'updated' });
    });

    it('stores a change only over the revision that it was made from', async () => {
      await store.create(http('trg_1'), [], 10);
      const second = http('trg_1', { revision: 2, path: '/y' });
      expect(await store.update(second, [])).toEqual({ kind: 'updated' });
      expect(await store.update(second, [])).toEqual({ kind: 'updated' });
      expect(await store.update(http('trg_1', { revision: 2, path: '/z' }), [])).toEqual({ kind: 'changed' });
      expect(await store.update(http('trg_9', { revision: 2 }), [])).toEqual({ kind: 'missing' });
    });

    it('holds no more triggers of a function than it may have', async () => {
      await store.create(http('trg_1'), [], 1);
      expect(await store.create(http('trg_2'), [], 1)).toEqual({ kind: 'full' });
    });

    it('never goes back in what a schedule has dealt with, neither by a run nor by a change', async () => {
      await store.create(cron('trg_1'), [], 10);
      await store.handled(a, asTriggerId('trg_1'), 5000);
      await store.handled(a, asTriggerId('trg_1'), 3000);
      expect(await store.get(a, asTriggerId('trg_1'))).toMatchObject({ handledThrough: 5000 });
      await store.update(cron('trg_1', { revision: 2, handledThrough: 2000 }), []);
      expect(await store.get(a, asTriggerId('trg_1'))).toMatchObject({ handledThrough: 5000 });
      await store.update(cron('trg_1', { revision: 3, handledThrough: 9000 }), []);
      expect(await store.get(a, asTriggerId('trg_1'))).toMatchObject({ handledThrough: 9000 });
    });

    it('lists by function and over all tenants, page by page, each once', async () => {
      const ids = Array.from({ length: 7 }, (_, i) => `trg_${i}`);
      for (const [i, id] of ids.entries()) await store.create(cron(id, { createdAt: 100 - i }), [], 10);
      await store.create(cron('trg_other', { functionId: asFunctionId('fn_2') }), [], 10);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.list(a, fn, { limit: 3, cursor });
        seen.push(...page.items.map((each) => each.triggerId));
        cursor = page.nextCursor;
      } while (cursor);
      expect(seen).toEqual([...ids].reverse());
      const all = await store.all({ limit: 5 });
      const rest = await store.all({ limit: 5, cursor: all.nextCursor });
      expect([...all.items, ...rest.items].map((each) => each.triggerId)).toEqual([...ids, 'trg_other']);
      expect(rest.nextCursor).toBeUndefined();
    });

    it('removes all of a function', async () => {
      await store.create(http('trg_1'), ['http GET /x'], 10);
      await store.create(cron('trg_2'), [], 10);
      await store.create(cron('trg_3', { functionId: asFunctionId('fn_2') }), [], 10);
      expect((await store.removeOf(a, fn)).sort()).toEqual(['trg_1', 'trg_2']);
      expect((await store.all({ limit: 10 })).items.map((each) => each.triggerId)).toEqual(['trg_3']);
      expect(await store.create(http('trg_4', { functionId: asFunctionId('fn_2') }), ['http GET /x'], 10)).toEqual({ kind: 'created' });
    });
  });
}
