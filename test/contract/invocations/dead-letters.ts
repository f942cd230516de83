import { asTenantId } from '../../../lib/core/ids.js';
import type { Head } from '../../../lib/core/invocations/model.js';
import { accept } from '../../../lib/core/invocations/rules.js';
import { claiming, ended, failed, newId, next, nonce, policy, type Scene, SEC, T0 } from './scene.js';

/** What ends without success, and how it is tried again. */
export function deadLettersContract(scene: () => Scene): void {
  describe('bury and replay', () => {
    it('ends a request without another attempt, and leaves what has ended', async () => {
      const { store, asking, syncAsking, accepted, readyIds } = scene();
      const { requestId } = await accepted(asking());
      const head = await store.bury(requestId, 'function_deleted', T0 + SEC, nonce());
      expect(head).toMatchObject({ state: 'DEAD', deadReason: 'function_deleted', deadAt: T0 + SEC });
      expect(await readyIds()).toEqual([]);
      const done = await accepted(syncAsking());
      await store.complete({ requestId: done.requestId, attempt: 1, nonce: done.lastNonce }, ended(), policy());
      expect((await store.bury(done.requestId, 'function_deleted', T0, nonce()))?.state).toBe('SUCCEEDED');
      expect(await store.bury(newId(), 'function_deleted', T0, nonce())).toBeUndefined();
    });

    it('puts a dead letter back as a new chain of attempts of the same invocation', async () => {
      const { store, ledger, tenantId, functionId, claimed, died, read } = scene();
      const dead = await died();
      const head = await store.replay(tenantId, dead.requestId, 'rpl_1', T0 + 5 * SEC, nonce());
      expect(head).toMatchObject({ state: 'RETRYING', readyAt: T0 + 5 * SEC, replays: 1, attempt: 1, deadAt: undefined });
      expect((await store.deadLetters({ tenantId, functionId, limit: 10 })).items).toEqual([]);
      const again = await claimed(dead.requestId, claiming({ now: T0 + 5 * SEC }));
      expect(again.head).toMatchObject({ attempt: 2, payload: { json: '{"a":1}' } });
      await store.complete(again.ref, ended(), policy(T0 + 6 * SEC));
      expect(await read(dead.requestId)).toMatchObject({ state: 'SUCCEEDED', replays: 1, attempts: [{ attempt: 1 }, { attempt: 2 }] });
      expect(await ledger(dead.requestId)).toMatchObject([{ first: true }, { first: false }]);
    });

    it('replays once for one replay, and never what is not dead or another tenant’s', async () => {
      const { store, tenantId, died } = scene();
      const dead = await died();
      expect(await store.replay(asTenantId('somebody-else'), dead.requestId, 'rpl_2', T0, nonce())).toBeUndefined();
      await store.replay(tenantId, dead.requestId, 'rpl_2', T0 + SEC, nonce());
      expect((await store.replay(tenantId, dead.requestId, 'rpl_2', T0 + 2 * SEC, nonce()))?.replays).toBe(1);
      expect(await store.replay(tenantId, dead.requestId, 'rpl_3', T0 + 2 * SEC, nonce())).toBeUndefined();
      expect(await store.replay(tenantId, newId(), 'rpl_3', T0, nonce())).toBeUndefined();
    });

    it('keeps bulk replays and tells how they stand', async () => {
      const { store, tenantId, functionId, claimed, died } = scene();
      const replayId = `rpl_${next()}`;
      const job = { replayId, filter: { tenantId, functionId }, matched: 3, startedAt: T0, scanned: false };
      await store.saveReplay(job);
      expect(await store.replayJob(tenantId, replayId)).toEqual(job);
      expect(await store.replayJob(asTenantId('somebody-else'), replayId)).toBeUndefined();
      expect((await store.unfinishedReplays()).map((each) => each.replayId)).toContain(replayId);
      const dead = [await died(), await died(), await died()];
      for (const { requestId } of dead) await store.replay(tenantId, requestId, replayId, T0 + SEC, nonce());
      await store.complete((await claimed(dead[0]!.requestId, claiming({ now: T0 + SEC }))).ref, ended(), policy());
      await store.complete((await claimed(dead[1]!.requestId, claiming({ now: T0 + SEC }))).ref, failed(), policy(T0 + 2 * SEC, 0));
      expect(await store.replayTally(replayId)).toEqual({ replayed: 3, healed: 1, failed: 1 });
      await store.saveReplay({ ...job, scanned: true });
      expect((await store.unfinishedReplays()).map((each) => each.replayId)).not.toContain(replayId);
    });

    it('deposits an invocation that is dead from the start, once', async () => {
      const { store, tenantId, functionId, asking } = scene();
      const { head } = accept(undefined, asking());
      const dead: Head = { ...head, state: 'DEAD', deadReason: 'batch_item_failure', deadAt: T0, completedAt: T0 };
      expect(await store.deposit(dead)).toBe(true);
      expect(await store.deposit(dead)).toBe(false);
      expect(await store.countDeadLetters({ tenantId, functionId, reason: 'batch_item_failure' })).toBe(1);
      expect((await store.replay(tenantId, dead.requestId, 'rpl_4', T0, nonce()))?.state).toBe('RETRYING');
    });
  });

  describe('dead letters', () => {
    it('are listed by the latest death, page by page, and counted', async () => {
      const { store, tenantId, functionId, died } = scene();
      const dead: Head[] = [];
      for (const i of [3, 1, 2, 1]) dead.push(await died(T0 + i * SEC));
      const first = await store.deadLetters({ tenantId, functionId, limit: 3 });
      const rest = await store.deadLetters({ tenantId, functionId, limit: 3, cursor: first.nextCursor });
      const order = [dead[0]!, dead[2]!, dead[3]!, dead[1]!].map((h) => h.requestId);
      expect([...first.items, ...rest.items].map((h) => h.requestId)).toEqual(order);
      expect(rest.nextCursor).toBeUndefined();
      expect(await store.countDeadLetters({ tenantId, functionId })).toBe(4);
      expect(first.items[0]).toMatchObject({ deadReason: 'max_retries', error: { type: 'Error' }, attempts: [{ outcome: 'FAILED' }] });
    });

    it('are found by id, time, error type and reason', async () => {
      const { store, tenantId, functionId, asking, accepted, died } = scene();
      const a = await died(T0, 'TypeError');
      const b = await died(T0 + 10 * SEC, 'RangeError');
      const buried = await accepted(asking());
      await store.bury(buried.requestId, 'max_age', T0 + 20 * SEC, nonce());
      const found = async (filter: object): Promise<string[]> => {
        const page = await store.deadLetters({ tenantId, functionId, limit: 10, ...filter });
        expect(await store.countDeadLetters({ tenantId, functionId, ...filter })).toBe(page.items.length);
        return page.items.map((h) => h.requestId);
      };
      expect(await found({ requestIds: [a.requestId, 'req_unknown'] })).toEqual([a.requestId]);
      expect(await found({ fromMs: T0 + SEC, toMs: T0 + 10 * SEC })).toEqual([b.requestId]);
      expect(await found({ errorType: 'TypeError' })).toEqual([a.requestId]);
      expect(await found({ reason: 'max_age' })).toEqual([buried.requestId]);
      expect(await found({ reason: 'max_age', errorType: 'TypeError' })).toEqual([]);
    });
  });
}
