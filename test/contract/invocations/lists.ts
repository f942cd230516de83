import { asTenantId } from '../../../lib/core/ids.js';
import type { Head } from '../../../lib/core/invocations/model.js';
import type { InvocationStore } from '../../../lib/core/invocations/port.js';
import { claiming, ended, nonce, policy, type Scene, SEC, T0 } from './scene.js';

/** What waits, and what there has been. */
export function listsContract(scene: () => Scene): void {
  describe('ready work', () => {
    it('comes in the order in which it is ready, by priority', async () => {
      const { asking, accepted, readyIds } = scene();
      const late = await accepted(asking({ readyAt: T0 + 5 * SEC }));
      const first = await accepted(asking({ now: T0 + 1 }));
      const second = await accepted(asking({ now: T0 + 2 }));
      const high = await accepted(asking({ priority: 'high' }));
      expect(await readyIds()).toEqual([first.requestId, second.requestId, late.requestId]);
      expect(await readyIds('normal', 2)).toEqual([first.requestId, second.requestId]);
      expect(await readyIds('high')).toEqual([high.requestId]);
    });

    it('is counted by tenant, function and priority', async () => {
      const { store, tenantId, functionId, asking, accepted, claimed } = scene();
      await accepted(asking({ payloadBytes: 10 }));
      await accepted(asking({ payloadBytes: 5, readyAt: T0 - SEC }));
      await claimed((await accepted(asking({ payloadBytes: 100 }))).requestId);
      await accepted(asking({ priority: 'low', payloadBytes: 1 }));
      const counts = (await store.readyCounts()).filter((count) => count.tenantId === tenantId);
      expect(counts.sort((a, b) => a.priority.localeCompare(b.priority))).toEqual([
        { tenantId, functionId, priority: 'low', count: 1, bytes: 1, nextAt: T0 },
        { tenantId, functionId, priority: 'normal', count: 2, bytes: 15, nextAt: T0 - SEC },
      ]);
    });
  });

  describe('lists', () => {
    it('go from the newest to the oldest, page by page, each once', async () => {
      const { store, tenantId, functionId, asking, accepted } = scene();
      const made: string[] = [];
      for (let i = 0; i < 5; i += 1) made.unshift((await accepted(asking({ now: T0 + i * SEC }))).requestId);
      const seen: string[] = [];
      for (let cursor: string | undefined, pages = 0; pages < 4; pages += 1) {
        const page = await store.list({ tenantId, functionId, limit: 2, cursor });
        seen.push(...page.items.map((h) => h.requestId));
        cursor = page.nextCursor;
        if (!cursor) break;
      }
      expect(seen).toEqual(made);
    });

    it('end without a cursor when the last page is full', async () => {
      const { store, tenantId, functionId, asking, accepted } = scene();
      await accepted(asking());
      await accepted(asking());
      const page = await store.list({ tenantId, functionId, limit: 2 });
      expect(page).toMatchObject({ items: { length: 2 }, nextCursor: undefined });
    });

    it('filter by state and by time of acceptance', async () => {
      const { store, tenantId, functionId, asking, accepted, claimed } = scene();
      const heads: Head[] = [];
      for (let i = 0; i < 4; i += 1) heads.push(await accepted(asking({ now: T0 + i * SEC })));
      await store.bury(heads[1]!.requestId, 'max_age', T0, nonce());
      const { ref } = await claimed(heads[2]!.requestId, claiming({ now: T0 + 9 * SEC }));
      await store.complete(ref, ended(), policy());
      const ids = async (more: Parameters<InvocationStore['list']>[0] extends infer F ? Partial<F> : never): Promise<string[]> =>
        (await store.list({ tenantId, functionId, limit: 10, ...more })).items.map((h) => h.requestId);
      expect(await ids({ states: ['DEAD'] })).toEqual([heads[1]!.requestId]);
      expect(await ids({ states: ['RUNNING'] })).toEqual([]);
      await claimed(heads[0]!.requestId, claiming({ now: T0 + 9 * SEC }));
      expect(await ids({ states: ['RUNNING'] })).toEqual([heads[0]!.requestId]);
      expect(await ids({ states: ['ACCEPTED', 'RUNNING'] })).toEqual([heads[3]!.requestId, heads[0]!.requestId]);
      expect(await ids({ states: ['SUCCEEDED', 'DEAD'] })).toEqual([heads[2]!.requestId, heads[1]!.requestId]);
      expect(await ids({ fromMs: T0 + SEC, toMs: T0 + 2 * SEC })).toEqual([heads[2]!.requestId, heads[1]!.requestId]);
      expect(await ids({ tenantId: asTenantId('somebody-else') })).toEqual([]);
    });

    it('refuse a cursor that they did not give', async () => {
      const { store, tenantId, functionId } = scene();
      for (const cursor of ['nonsense', '!!', 'eyJhIjoxfQ', 'W10', 'WzEsMl0']) {
        await expect(store.list({ tenantId, functionId, limit: 2, cursor })).rejects.toMatchObject({
          status: 422,
          more: { errors: [{ field: 'cursor' }] },
        });
        await expect(store.deadLetters({ tenantId, functionId, limit: 2, cursor })).rejects.toMatchObject({ status: 422 });
      }
    });
  });
}
