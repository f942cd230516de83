import type { AcceptRequest, Head } from '../../../lib/core/invocations/model.js';
import { accept, complete } from '../../../lib/core/invocations/rules.js';
import type { LedgerEntry } from '../../../lib/core/metering/model.js';
import { claiming, ended, failed, lost, newId, policy, type Scene, SEC, T0 } from './scene.js';

/** How an attempt ends, and what is billed for it. */
export function completeContract(scene: () => Scene): void {
  describe('complete', () => {
    it('stores the outcome and bills the attempt in one write', async () => {
      const { store, ledger, tenantId, functionId, asking, accepted, claimed, read } = scene();
      const { requestId } = await accepted(asking());
      const { ref } = await claimed(requestId);
      const decision = await store.complete(ref, ended(), policy());
      expect(decision).toMatchObject({ kind: 'recorded', head: { state: 'SUCCEEDED', completedAt: T0 + 2 * SEC, lease: undefined } });
      expect(await read(requestId)).toMatchObject({
        state: 'SUCCEEDED',
        result: { kind: 'inline', json: '{"ok":true}' },
        attempts: [
          { attempt: 1, durationMs: 12.345, billedMs: 13, coldStart: true, outcome: 'SUCCEEDED', memoryMb: 128, codeSha256: 'c0de' },
        ],
      });
      expect(await ledger(requestId)).toEqual([
        {
          requestId,
          attempt: 1,
          tenantId,
          functionId,
          version: '$LATEST',
          memoryMb: 128,
          billedMs: 13,
          endedAt: T0 + 2 * SEC,
          first: true,
        },
      ]);
    });

    it('changes nothing when it is repeated', async () => {
      const { store, ledger, asking, accepted, claimed, read } = scene();
      const { requestId } = await accepted(asking());
      const { ref } = await claimed(requestId);
      await store.complete(ref, ended(), policy());
      const before = await read(requestId);
      expect(await store.complete(ref, ended({ durationMs: 9999 }), policy(T0 + 9 * SEC))).toMatchObject({ kind: 'already' });
      expect(await read(requestId)).toEqual(before);
      expect(await ledger(requestId)).toHaveLength(1);
    });

    it('refuses a completion under another attempt or nonce, and for what is not there', async () => {
      const { store, ledger, asking, accepted, claimed, read } = scene();
      const { requestId } = await accepted(asking());
      const { ref } = await claimed(requestId);
      expect((await store.complete({ ...ref, nonce: 'forged' }, ended(), policy())).kind).toBe('stale');
      expect((await store.complete({ ...ref, attempt: 2 }, ended(), policy())).kind).toBe('stale');
      expect((await store.complete({ ...ref, requestId: newId() }, ended(), policy())).kind).toBe('stale');
      expect((await read(requestId)).state).toBe('RUNNING');
      expect(await ledger(requestId)).toEqual([]);
    });

    it('counts the request on the first billed attempt only', async () => {
      const { store, ledger, asking, accepted, claimed, read } = scene();
      const { requestId } = await accepted(asking());
      await store.complete((await claimed(requestId)).ref, failed(), policy());
      const again = T0 + 3 * SEC;
      await store.complete((await claimed(requestId, claiming({ now: again }))).ref, ended({ durationMs: 5 }), policy(again));
      const head = await read(requestId);
      expect(head.attempts.map((a) => a.outcome)).toEqual(['FAILED', 'SUCCEEDED']);
      expect(head.attempts[0]!.error).toEqual({ type: 'Error', message: 'no', stack: ['at here'] });
      expect(await ledger(requestId)).toMatchObject([
        { attempt: 1, billedMs: 13, first: true },
        { attempt: 2, billedMs: 5, first: false },
      ]);
    });

    it('makes a failed request ready again after its delay', async () => {
      const { store, tenantId, functionId, asking, accepted, claimed } = scene();
      const { requestId } = await accepted(asking());
      const decision = await store.complete((await claimed(requestId)).ref, failed(), policy(T0 + 2 * SEC));
      expect(decision).toMatchObject({ kind: 'recorded', head: { state: 'RETRYING', readyAt: T0 + 2500, error: { type: 'Error' } } });
      const [entry] = await store.ready({ tenantId, functionId, priority: 'normal', until: T0 + 2500, limit: 10 });
      expect(entry).toMatchObject({ requestId, readyAt: T0 + 2500, qualifier: '$LATEST', payloadBytes: 7, alone: false });
      expect(await store.ready({ tenantId, functionId, priority: 'normal', until: T0 + 2499, limit: 10 })).toEqual([]);
    });

    it('never bills what was not the tenant code’s doing', async () => {
      const { store, ledger, asking, accepted, claimed, read } = scene();
      const { requestId } = await accepted(asking());
      await store.complete((await claimed(requestId)).ref, lost(), policy());
      expect(await read(requestId)).toMatchObject({ state: 'RETRYING', attempts: [{ outcome: 'LOST', billedMs: 0 }] });
      expect(await ledger(requestId)).toEqual([]);
    });

    it('keeps the whole outcome of a sync call that failed', async () => {
      const { store, syncAsking, accepted, read } = scene();
      const head = await accepted(syncAsking());
      await store.complete({ requestId: head.requestId, attempt: 1, nonce: head.lastNonce }, failed('TypeError'), policy());
      expect(await read(head.requestId)).toMatchObject({
        state: 'FAILED',
        error: { type: 'TypeError', stack: ['at here'] },
        result: undefined,
      });
    });
  });

  describe('record', () => {
    const finished = (request: AcceptRequest, end = ended()): { head: Head; usage?: LedgerEntry } => {
      const { head } = accept(undefined, request);
      const decision = complete(head, { requestId: request.requestId, attempt: 1, nonce: request.nonce }, end, policy());
      if (decision.kind !== 'recorded') throw new Error(decision.kind);
      return decision;
    };

    it('stores a finished keyless call with its usage', async () => {
      const { store, ledger, syncAsking, read } = scene();
      const { head, usage } = finished(syncAsking());
      await store.record({ head, usage });
      expect(await read(head.requestId)).toEqual(head);
      expect(await ledger(head.requestId)).toEqual([usage]);
    });

    it('stores it once, however often it is repeated', async () => {
      const { store, ledger, syncAsking } = scene();
      const { head, usage } = finished(syncAsking());
      await Promise.all([store.record({ head, usage }), store.record({ head, usage })]);
      await store.record({ head, usage });
      expect(await ledger(head.requestId)).toHaveLength(1);
    });

    it('bills nothing where nothing is to be billed', async () => {
      const { store, ledger, syncAsking, read } = scene();
      const { head, usage } = finished(syncAsking(), lost());
      expect(usage).toBeUndefined();
      await store.record({ head });
      expect(await read(head.requestId)).toEqual(head);
      expect(await ledger(head.requestId)).toEqual([]);
    });
  });
}
