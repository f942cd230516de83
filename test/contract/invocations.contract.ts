import { createHash } from 'node:crypto';
import { DEFAULTS } from '../../lib/core/defaults.js';
import { asFunctionId, asRequestId, asTenantId, base32, type RequestId, timePrefix } from '../../lib/core/ids.js';
import type { AcceptRequest, AttemptEnd, ClaimRef, ClaimRequest, CompletionPolicy, Head } from '../../lib/core/invocations/model.js';
import type { InvocationStore } from '../../lib/core/invocations/port.js';
import { accept, complete } from '../../lib/core/invocations/rules.js';
import type { LedgerEntry } from '../../lib/core/metering/model.js';

export interface OpenStore {
  store: InvocationStore;
  /** All that was billed for one invocation, by attempt. */
  ledger(requestId: string): Promise<LedgerEntry[]>;
  close(): Promise<void>;
}

const T0 = Date.parse('2026-03-01T12:00:00Z');
const SEC = 1000;
let serial = 0;
const next = (): number => {
  serial += 1;
  return serial;
};

/** What every adapter of InvocationStore must do. */
export function invocationStoreContract(adapter: string, open: () => Promise<OpenStore>): void {
  describe(`invocations, ${adapter}`, () => {
    let opened: OpenStore;
    let store: InvocationStore;
    let tenantId = asTenantId('');
    let functionId = asFunctionId('');

    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(async () => {
      await opened.close();
    });
    beforeEach(() => {
      tenantId = asTenantId(`tenant-${next()}`);
      functionId = asFunctionId(`fn_${base32(createHash('sha256').update(tenantId).digest(), 20)}`);
    });

    const nonce = (): string => `n${next()}`;
    const newId = (at = T0): RequestId => asRequestId(`req_${timePrefix(at)}${String(next()).padStart(16, '0')}`);
    const keyed = (name: string, digest = 'd', at = T0) => ({
      slot: createHash('sha256').update(`${functionId}/${name}`).digest('hex'),
      digest,
      expiresAt: at + DEFAULTS.keyTtlMs,
    });
    const asking = (more: Partial<AcceptRequest> = {}): AcceptRequest => ({
      requestId: newId(more.now),
      tenantId,
      functionId,
      qualifier: '$LATEST',
      mode: 'async',
      priority: 'normal',
      payload: { kind: 'inline', json: '{"a":1}' },
      payloadBytes: 7,
      nonce: nonce(),
      now: T0,
      ...more,
    });
    const syncAsking = (more: Partial<AcceptRequest> = {}): AcceptRequest =>
      asking({ mode: 'sync', payload: undefined, claim: { owner: 'me', voidAt: T0 + 30 * SEC }, ...more });
    const claiming = (more: Partial<ClaimRequest> = {}): ClaimRequest => ({
      owner: 'me',
      nonce: nonce(),
      now: T0 + SEC,
      voidAt: T0 + 30 * SEC,
      maxAgeSec: 21_600,
      ...more,
    });
    const policy = (now = T0 + 2 * SEC, maxRetries = 5): CompletionPolicy => ({
      retry: { maxRetries, baseDelayMs: 500, maxAgeSec: 21_600 },
      jitter: 1,
      now,
    });
    const ended = (more: Partial<AttemptEnd['attempt']> = {}, result = '{"ok":true}'): AttemptEnd => ({
      attempt: {
        version: '$LATEST',
        codeSha256: 'c0de',
        memoryMb: 128,
        startedAt: T0 + SEC,
        durationMs: 12.345,
        coldStart: true,
        outcome: 'SUCCEEDED',
        fault: null,
        ...more,
      },
      result: more.outcome && more.outcome !== 'SUCCEEDED' ? undefined : { kind: 'inline', json: result },
    });
    const failed = (type = 'Error'): AttemptEnd =>
      ended({ outcome: 'FAILED', fault: 'tenant', error: { type, message: 'no', stack: ['at here'] } });
    const lost = (): AttemptEnd => ended({ outcome: 'LOST', fault: 'platform', error: { type: 'Platform.SlotLost', message: 'gone' } });

    const accepted = async (request: AcceptRequest): Promise<Head> => {
      const decision = await store.accept(request);
      expect(decision.kind).toBe('accepted');
      return decision.head;
    };
    const claimed = async (requestId: RequestId, request = claiming()): Promise<{ head: Head; ref: ClaimRef }> => {
      const decision = await store.claim(requestId, request);
      if (decision.kind !== 'claimed') throw new Error(`claimed expected, not ${decision.kind}`);
      return { head: decision.head, ref: { requestId, attempt: decision.head.attempt, nonce: request.nonce } };
    };
    /** Accepted, run once, and dead of it. */
    const died = async (at = T0, type = 'Error'): Promise<Head> => {
      const { requestId } = await accepted(asking({ now: at }));
      const { ref } = await claimed(requestId, claiming({ now: at, voidAt: at + 30 * SEC }));
      const decision = await store.complete(ref, failed(type), policy(at, 0));
      if (decision.kind !== 'recorded') throw new Error(decision.kind);
      return decision.head;
    };
    const read = async (requestId: RequestId): Promise<Head> => {
      const head = await store.get(tenantId, requestId);
      if (!head) throw new Error('it is not there');
      return head;
    };
    const readyIds = async (priority: Head['priority'] = 'normal', limit = 100): Promise<string[]> =>
      (await store.ready({ tenantId, functionId, priority, until: Number.MAX_SAFE_INTEGER, limit })).map((e) => e.requestId);

    describe('accept', () => {
      it('keeps a new request as it was given, and shows it at once', async () => {
        const request = asking({ source: { type: 'queue', queue: 'orders', messageId: 'm1' }, priority: 'high', qualifier: '3' });
        const head = await accepted(request);
        expect(await read(request.requestId)).toEqual(head);
        expect(head).toMatchObject({ state: 'ACCEPTED', qualifier: '3', priority: 'high', attempt: 0, payload: request.payload });
      });

      it('shows nothing to another tenant', async () => {
        const { requestId } = await accepted(asking());
        expect(await store.get(asTenantId('somebody-else'), requestId)).toBeUndefined();
      });

      it('accepts and claims a sync call in one write', async () => {
        const head = await accepted(syncAsking());
        expect(head).toMatchObject({ state: 'RUNNING', attempt: 1, lease: { owner: 'me' } });
        expect(await read(head.requestId)).toEqual(head);
        expect(await readyIds()).toEqual([]);
      });

      it('knows its own write again by the nonce', async () => {
        const request = asking({ key: keyed('k') });
        const first = await store.accept(request);
        const again = await store.accept(request);
        expect(again).toEqual({ kind: 'accepted', head: first.head, reopened: false });
        const keyless = asking();
        await store.accept(keyless);
        expect(await store.accept(keyless)).toMatchObject({ kind: 'accepted', head: { requestId: keyless.requestId } });
        expect(await readyIds()).toHaveLength(2);
      });

      it('gives the first answer again when the key and payload repeat', async () => {
        const first = await accepted(syncAsking({ key: keyed('k') }));
        await store.complete({ requestId: first.requestId, attempt: 1, nonce: first.lastNonce }, ended(), policy());
        const again = await store.accept(syncAsking({ key: keyed('k') }));
        expect(again).toMatchObject({
          kind: 'replayed',
          head: { requestId: first.requestId, state: 'SUCCEEDED', result: { json: '{"ok":true}' } },
        });
      });

      it('says that the first call still runs', async () => {
        const first = await accepted(syncAsking({ key: keyed('k') }));
        expect(await store.accept(syncAsking({ key: keyed('k') }))).toMatchObject({
          kind: 'running',
          head: { requestId: first.requestId },
        });
      });

      it('refuses another payload under the same key', async () => {
        await accepted(asking({ key: keyed('k') }));
        const other = asking({ key: keyed('k', 'another digest') });
        expect((await store.accept(other)).kind).toBe('conflict');
        expect(await store.get(tenantId, other.requestId)).toBeUndefined();
      });

      it('lets one of many at the same time win the key', async () => {
        const decisions = await Promise.all(Array.from({ length: 20 }, () => store.accept(asking({ key: keyed('race') }))));
        expect(decisions.filter((d) => d.kind === 'accepted')).toHaveLength(1);
        expect(decisions.filter((d) => d.kind === 'running')).toHaveLength(19);
        expect(await readyIds()).toHaveLength(1);
      });

      it('makes a new invocation once the key has expired, whatever still lies about', async () => {
        const first = await accepted(asking({ key: keyed('k') }));
        const later = T0 + DEFAULTS.keyTtlMs;
        const second = await accepted(asking({ key: keyed('k', 'd', later), now: later }));
        expect(second.requestId).not.toBe(first.requestId);
        expect((await store.accept(asking({ key: keyed('k', 'd', later), now: later + 1 }))).head.requestId).toBe(second.requestId);
        expect(await read(first.requestId)).toEqual(first);
      });

      it('runs a sync call again under its key when the platform had failed it', async () => {
        const first = await accepted(syncAsking({ key: keyed('k') }));
        await store.complete({ requestId: first.requestId, attempt: 1, nonce: first.lastNonce }, lost(), policy());
        const again = syncAsking({ key: keyed('k') });
        const decision = await store.accept(again);
        expect(decision).toMatchObject({
          kind: 'accepted',
          reopened: true,
          head: { requestId: first.requestId, attempt: 2, state: 'RUNNING' },
        });
        await store.complete({ requestId: first.requestId, attempt: 2, nonce: again.nonce }, ended(), policy());
        expect((await read(first.requestId)).attempts.map((a) => a.outcome)).toEqual(['LOST', 'SUCCEEDED']);
        expect(await opened.ledger(first.requestId)).toMatchObject([{ attempt: 2, first: true, billedMs: 13 }]);
      });
    });

    describe('claim', () => {
      it('leases the request with its payload to one owner', async () => {
        const { requestId } = await accepted(asking());
        const { head } = await claimed(requestId);
        expect(head).toMatchObject({ state: 'RUNNING', attempt: 1, payload: { json: '{"a":1}' }, lease: { owner: 'me', attempt: 1 } });
        expect(await readyIds()).toEqual([]);
        await store.heartbeat('me', T0 + SEC);
        const other = await store.claim(requestId, claiming({ owner: 'other', now: T0 + 2 * SEC }));
        expect(other).toEqual({ kind: 'leasedUntil', until: T0 + SEC + DEFAULTS.ownerSilentMs });
      });

      it('is the same claim when it is repeated', async () => {
        const { requestId } = await accepted(asking());
        const request = claiming();
        const first = await claimed(requestId, request);
        expect((await claimed(requestId, request)).head).toEqual(first.head);
      });

      it('names what cannot be claimed', async () => {
        expect(await store.claim(newId(), claiming())).toEqual({ kind: 'missing' });
        const later = await accepted(asking({ readyAt: T0 + 60 * SEC }));
        expect(await store.claim(later.requestId, claiming())).toEqual({ kind: 'notBefore', at: T0 + 60 * SEC });
        const done = await accepted(syncAsking());
        await store.complete({ requestId: done.requestId, attempt: 1, nonce: done.lastNonce }, ended(), policy());
        expect(await store.claim(done.requestId, claiming())).toMatchObject({ kind: 'terminal', head: { state: 'SUCCEEDED' } });
      });

      it('frees a request whose lease is void, and gives it in its next turn', async () => {
        const { requestId } = await accepted(asking());
        const old = await claimed(requestId, claiming({ owner: 'silent', voidAt: T0 + 10 * SEC }));
        expect(await store.claim(requestId, claiming({ now: T0 + 10 * SEC }))).toMatchObject({
          kind: 'freed',
          head: { state: 'RETRYING' },
        });
        const { head } = await claimed(requestId, claiming({ now: T0 + 11 * SEC, voidAt: T0 + 60 * SEC }));
        expect(head).toMatchObject({ attempt: 2, attempts: [{ attempt: 1, outcome: 'LOST', fault: 'platform', billedMs: 0 }] });
        expect((await store.complete(old.ref, ended(), policy(T0 + 12 * SEC))).kind).toBe('stale');
        expect(await opened.ledger(requestId)).toEqual([]);
      });

      it('that has freed or buried a request says so again when it is repeated', async () => {
        const voidSoon = { owner: 'silent', voidAt: T0 + 10 * SEC };
        const { requestId } = await accepted(asking());
        await claimed(requestId, claiming(voidSoon));
        const freeing = claiming({ now: T0 + 10 * SEC });
        await store.claim(requestId, freeing);
        expect(await store.claim(requestId, freeing)).toMatchObject({ kind: 'freed', head: { state: 'RETRYING', attempt: 1 } });
        const old = await accepted(asking());
        const burying = claiming({ now: T0 + 61 * SEC, maxAgeSec: 60 });
        await store.claim(old.requestId, burying);
        expect(await store.claim(old.requestId, burying)).toMatchObject({ kind: 'buried', head: { state: 'DEAD' } });
      });

      it('buries what has become too old to be tried', async () => {
        const { requestId } = await accepted(asking());
        const decision = await store.claim(requestId, claiming({ now: T0 + 61 * SEC, maxAgeSec: 60 }));
        expect(decision).toMatchObject({ kind: 'buried', head: { state: 'DEAD', deadReason: 'max_age' } });
        expect((await store.deadLetters({ tenantId, functionId, limit: 10 })).items).toHaveLength(1);
      });
    });

    describe('complete', () => {
      it('stores the outcome and bills the attempt in one write', async () => {
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
        expect(await opened.ledger(requestId)).toEqual([
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
        const { requestId } = await accepted(asking());
        const { ref } = await claimed(requestId);
        await store.complete(ref, ended(), policy());
        const before = await read(requestId);
        expect(await store.complete(ref, ended({ durationMs: 9999 }), policy(T0 + 9 * SEC))).toMatchObject({ kind: 'already' });
        expect(await read(requestId)).toEqual(before);
        expect(await opened.ledger(requestId)).toHaveLength(1);
      });

      it('refuses a completion under another attempt or nonce, and for what is not there', async () => {
        const { requestId } = await accepted(asking());
        const { ref } = await claimed(requestId);
        expect((await store.complete({ ...ref, nonce: 'forged' }, ended(), policy())).kind).toBe('stale');
        expect((await store.complete({ ...ref, attempt: 2 }, ended(), policy())).kind).toBe('stale');
        expect((await store.complete({ ...ref, requestId: newId() }, ended(), policy())).kind).toBe('stale');
        expect((await read(requestId)).state).toBe('RUNNING');
        expect(await opened.ledger(requestId)).toEqual([]);
      });

      it('counts the request on the first billed attempt only', async () => {
        const { requestId } = await accepted(asking());
        await store.complete((await claimed(requestId)).ref, failed(), policy());
        const again = T0 + 3 * SEC;
        await store.complete((await claimed(requestId, claiming({ now: again }))).ref, ended({ durationMs: 5 }), policy(again));
        const head = await read(requestId);
        expect(head.attempts.map((a) => a.outcome)).toEqual(['FAILED', 'SUCCEEDED']);
        expect(head.attempts[0]!.error).toEqual({ type: 'Error', message: 'no', stack: ['at here'] });
        expect(await opened.ledger(requestId)).toMatchObject([
          { attempt: 1, billedMs: 13, first: true },
          { attempt: 2, billedMs: 5, first: false },
        ]);
      });

      it('makes a failed request ready again after its delay', async () => {
        const { requestId } = await accepted(asking());
        const decision = await store.complete((await claimed(requestId)).ref, failed(), policy(T0 + 2 * SEC));
        expect(decision).toMatchObject({ kind: 'recorded', head: { state: 'RETRYING', readyAt: T0 + 2500, error: { type: 'Error' } } });
        const [entry] = await store.ready({ tenantId, functionId, priority: 'normal', until: T0 + 2500, limit: 10 });
        expect(entry).toMatchObject({ requestId, readyAt: T0 + 2500, qualifier: '$LATEST', payloadBytes: 7, alone: false });
        expect(await store.ready({ tenantId, functionId, priority: 'normal', until: T0 + 2499, limit: 10 })).toEqual([]);
      });

      it('never bills what was not the tenant code’s doing', async () => {
        const { requestId } = await accepted(asking());
        await store.complete((await claimed(requestId)).ref, lost(), policy());
        expect(await read(requestId)).toMatchObject({ state: 'RETRYING', attempts: [{ outcome: 'LOST', billedMs: 0 }] });
        expect(await opened.ledger(requestId)).toEqual([]);
      });

      it('keeps the whole outcome of a sync call that failed', async () => {
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
      const finished = (end = ended()): { head: Head; usage?: LedgerEntry } => {
        const request = syncAsking();
        const { head } = accept(undefined, request);
        const decision = complete(head, { requestId: request.requestId, attempt: 1, nonce: request.nonce }, end, policy());
        if (decision.kind !== 'recorded') throw new Error(decision.kind);
        return decision;
      };

      it('stores a finished keyless call with its usage', async () => {
        const { head, usage } = finished();
        await store.record({ head, usage });
        expect(await read(head.requestId)).toEqual(head);
        expect(await opened.ledger(head.requestId)).toEqual([usage]);
      });

      it('stores it once, however often it is repeated', async () => {
        const { head, usage } = finished();
        await Promise.all([store.record({ head, usage }), store.record({ head, usage })]);
        await store.record({ head, usage });
        expect(await opened.ledger(head.requestId)).toHaveLength(1);
      });

      it('bills nothing where nothing is to be billed', async () => {
        const { head, usage } = finished(lost());
        expect(usage).toBeUndefined();
        await store.record({ head });
        expect(await read(head.requestId)).toEqual(head);
        expect(await opened.ledger(head.requestId)).toEqual([]);
      });
    });

    describe('giving back', () => {
      it('releases, defers and parks what had not started, under the same attempt number', async () => {
        const { requestId } = await accepted(asking());
        const first = await claimed(requestId);
        expect(await store.release(first.ref, T0 + 2 * SEC)).toBe(true);
        expect(await read(requestId)).toMatchObject({ state: 'ACCEPTED', attempt: 0, readyAt: T0 + 2 * SEC, lease: undefined });
        const second = await claimed(requestId, claiming({ now: T0 + 2 * SEC }));
        expect(second.head.attempt).toBe(1);
        expect(await store.defer(second.ref, T0 + 9 * SEC)).toBe(true);
        expect(await store.claim(requestId, claiming({ now: T0 + 8 * SEC }))).toEqual({ kind: 'notBefore', at: T0 + 9 * SEC });
        const third = await claimed(requestId, claiming({ now: T0 + 9 * SEC }));
        expect(await store.park(third.ref, T0 + 10 * SEC)).toBe(true);
        expect(await read(requestId)).toMatchObject({ parked: true, attempts: [] });
        expect(await readyIds()).toEqual([requestId]);
      });

      it('knows its own undoing again, and leaves alone what is not its claim', async () => {
        const { requestId } = await accepted(asking());
        const { ref } = await claimed(requestId);
        expect(await store.release({ ...ref, nonce: 'forged' }, T0)).toBe(false);
        expect(await store.release(ref, T0 + 2 * SEC)).toBe(true);
        expect(await store.release(ref, T0 + 3 * SEC)).toBe(true);
        expect((await read(requestId)).readyAt).toBe(T0 + 2 * SEC);
        expect(await store.release({ requestId: newId(), attempt: 1, nonce: 'x' }, T0)).toBe(false);
      });

      it('withdraws a refused sync call as if it had never been, and its key with it', async () => {
        const request = syncAsking({ key: keyed('k') });
        const head = await accepted(request);
        const ref = { requestId: head.requestId, attempt: 1, nonce: request.nonce };
        expect(await store.withdraw(ref)).toBe(true);
        expect(await store.get(tenantId, head.requestId)).toBeUndefined();
        expect(await store.withdraw(ref)).toBe(false);
        expect((await store.accept(syncAsking({ key: keyed('k', 'another payload') }))).kind).toBe('accepted');
      });

      it('leaves what an earlier call under the key had left', async () => {
        const first = await accepted(syncAsking({ key: keyed('k') }));
        await store.complete({ requestId: first.requestId, attempt: 1, nonce: first.lastNonce }, lost(), policy());
        const again = syncAsking({ key: keyed('k') });
        await store.accept(again);
        expect(await store.withdraw({ requestId: first.requestId, attempt: 2, nonce: again.nonce })).toBe(true);
        expect(await read(first.requestId)).toMatchObject({ state: 'FAILED', attempt: 1, attempts: [{ outcome: 'LOST' }] });
        expect((await store.accept(syncAsking({ key: keyed('k') }))).kind).toBe('accepted');
      });
    });

    describe('bury and replay', () => {
      it('ends a request without another attempt, and leaves what has ended', async () => {
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
        const dead = await died();
        const head = await store.replay(tenantId, dead.requestId, 'rpl_1', T0 + 5 * SEC, nonce());
        expect(head).toMatchObject({ state: 'RETRYING', readyAt: T0 + 5 * SEC, replays: 1, attempt: 1, deadAt: undefined });
        expect((await store.deadLetters({ tenantId, functionId, limit: 10 })).items).toEqual([]);
        const again = await claimed(dead.requestId, claiming({ now: T0 + 5 * SEC }));
        expect(again.head).toMatchObject({ attempt: 2, payload: { json: '{"a":1}' } });
        await store.complete(again.ref, ended(), policy(T0 + 6 * SEC));
        expect(await read(dead.requestId)).toMatchObject({ state: 'SUCCEEDED', replays: 1, attempts: [{ attempt: 1 }, { attempt: 2 }] });
        expect(await opened.ledger(dead.requestId)).toMatchObject([{ first: true }, { first: false }]);
      });

      it('replays once for one replay, and never what is not dead or another tenant’s', async () => {
        const dead = await died();
        expect(await store.replay(asTenantId('somebody-else'), dead.requestId, 'rpl_2', T0, nonce())).toBeUndefined();
        await store.replay(tenantId, dead.requestId, 'rpl_2', T0 + SEC, nonce());
        expect((await store.replay(tenantId, dead.requestId, 'rpl_2', T0 + 2 * SEC, nonce()))?.replays).toBe(1);
        expect(await store.replay(tenantId, dead.requestId, 'rpl_3', T0 + 2 * SEC, nonce())).toBeUndefined();
        expect(await store.replay(tenantId, newId(), 'rpl_3', T0, nonce())).toBeUndefined();
      });

      it('keeps bulk replays and tells how they stand', async () => {
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
        const { head } = accept(undefined, asking());
        const dead: Head = { ...head, state: 'DEAD', deadReason: 'batch_item_failure', deadAt: T0, completedAt: T0 };
        expect(await store.deposit(dead)).toBe(true);
        expect(await store.deposit(dead)).toBe(false);
        expect(await store.countDeadLetters({ tenantId, functionId, reason: 'batch_item_failure' })).toBe(1);
        expect((await store.replay(tenantId, dead.requestId, 'rpl_4', T0, nonce()))?.state).toBe('RETRYING');
      });
    });

    describe('takeover', () => {
      it('frees what dead owners held, and nobody else’s', async () => {
        await store.heartbeat('dead-owner', T0);
        await store.heartbeat('living-owner', T0);
        const theirs = await accepted(asking());
        await claimed(theirs.requestId, claiming({ owner: 'dead-owner' }));
        const mine = await accepted(asking());
        await claimed(mine.requestId, claiming({ owner: 'living-owner' }));
        const freed = await store.takeOver({
          gone: ['dead-owner'],
          owner: 'living-owner',
          running: [],
          now: T0 + 2 * SEC,
          nonce: nonce(),
          limit: 100,
        });
        expect(freed.filter((h) => h.tenantId === tenantId)).toMatchObject([
          { requestId: theirs.requestId, state: 'RETRYING', readyAt: T0 + 2 * SEC, chain: { deaths: 1 }, attempts: [{ outcome: 'LOST' }] },
        ]);
        expect(await readyIds()).toEqual([theirs.requestId]);
        expect((await read(mine.requestId)).state).toBe('RUNNING');
      });

      it('frees what an owner held who has been silent for too long, or whose deadline has passed', async () => {
        await store.heartbeat('silent', T0);
        await store.heartbeat('slow', T0 + 30 * SEC);
        const one = await accepted(asking());
        await claimed(one.requestId, claiming({ owner: 'silent', voidAt: T0 + 900 * SEC }));
        const two = await accepted(asking());
        await claimed(two.requestId, claiming({ owner: 'slow', voidAt: T0 + 30 * SEC }));
        const early = await store.takeOver({ gone: [], owner: 'me', running: [], now: T0 + 19 * SEC, nonce: nonce(), limit: 100 });
        expect(early.filter((h) => h.tenantId === tenantId)).toEqual([]);
        const freed = await store.takeOver({ gone: [], owner: 'me', running: [], now: T0 + 30 * SEC, nonce: nonce(), limit: 100 });
        expect(freed.filter((h) => h.tenantId === tenantId).map((h) => h.requestId)).toEqual([one.requestId, two.requestId]);
      });

      it('leaves what the asker itself still runs, whatever the wall clock says', async () => {
        await store.heartbeat('me', T0);
        const [runs, forgotten] = [await accepted(asking()), await accepted(asking())];
        for (const { requestId } of [runs, forgotten]) await claimed(requestId, claiming({ owner: 'me', voidAt: T0 + 30 * SEC }));
        const hours = { owner: 'me', running: [runs.requestId], now: T0 + 7200 * SEC, limit: 100 };
        const freed = await store.takeOver({ gone: [], ...hours, nonce: nonce() });
        expect(freed.filter((h) => h.tenantId === tenantId).map((h) => h.requestId)).toEqual([forgotten.requestId]);
        // Of another owner, an id in the list says nothing.
        expect(await store.takeOver({ gone: ['me'], ...hours, owner: 'other', nonce: nonce() })).toMatchObject([
          { requestId: runs.requestId },
        ]);
      });

      it('at the start frees all but its own, in pieces, and closes sync calls as the platform’s fault', async () => {
        await store.heartbeat('now', T0);
        const heads = await Promise.all(
          Array.from({ length: 5 }, () => accepted(syncAsking({ claim: { owner: 'before', voidAt: T0 + 900 * SEC } }))),
        );
        const own = await accepted(syncAsking({ claim: { owner: 'now', voidAt: T0 + 900 * SEC } }));
        const freed: Head[] = [];
        for (let piece: Head[] | undefined; piece === undefined || piece.length > 0; ) {
          piece = await store.takeOver({ gone: 'all-but', owner: 'now', running: [], now: T0 + SEC, nonce: nonce(), limit: 2 });
          expect(piece.length).toBeLessThanOrEqual(2);
          freed.push(...piece);
        }
        expect(freed.filter((h) => h.tenantId === tenantId)).toHaveLength(heads.length);
        expect(await read(heads[0]!.requestId)).toMatchObject({ state: 'FAILED', attempts: [{ outcome: 'LOST', fault: 'platform' }] });
        expect((await read(own.requestId)).state).toBe('RUNNING');
      });

      it('runs alone what two owners died of, and buries it after the third', async () => {
        const { requestId } = await accepted(asking());
        for (const at of [1, 2, 3]) {
          const { head } = await claimed(requestId, claiming({ owner: `victim-${at}`, now: T0 + at * SEC }));
          const decision = await store.claim(requestId, claiming({ now: T0 + at * SEC })).then(() => store.get(tenantId, requestId));
          expect(decision?.attempt).toBe(head.attempt);
          await store.takeOver({ gone: [`victim-${at}`], owner: 'me', running: [], now: T0 + at * SEC, nonce: nonce(), limit: 100 });
          const [entry] = await store.ready({ tenantId, functionId, priority: 'normal', until: T0 + 60 * SEC, limit: 1 });
          expect(entry?.alone).toBe(at === 1 ? false : at === 2 ? true : undefined);
        }
        expect(await read(requestId)).toMatchObject({ state: 'DEAD', deadReason: 'poison' });
      });
    });

    describe('ready work', () => {
      it('comes in the order in which it is ready, by priority', async () => {
        const late = await accepted(asking({ readyAt: T0 + 5 * SEC }));
        const first = await accepted(asking({ now: T0 + 1 }));
        const second = await accepted(asking({ now: T0 + 2 }));
        const high = await accepted(asking({ priority: 'high' }));
        expect(await readyIds()).toEqual([first.requestId, second.requestId, late.requestId]);
        expect(await readyIds('normal', 2)).toEqual([first.requestId, second.requestId]);
        expect(await readyIds('high')).toEqual([high.requestId]);
      });

      it('is counted by tenant, function and priority', async () => {
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
        await accepted(asking());
        await accepted(asking());
        const page = await store.list({ tenantId, functionId, limit: 2 });
        expect(page).toMatchObject({ items: { length: 2 }, nextCursor: undefined });
      });

      it('filter by state and by time of acceptance', async () => {
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
        for (const cursor of ['nonsense', '!!', 'eyJhIjoxfQ', 'W10', 'WzEsMl0']) {
          await expect(store.list({ tenantId, functionId, limit: 2, cursor })).rejects.toMatchObject({
            status: 422,
            more: { errors: [{ field: 'cursor' }] },
          });
          await expect(store.deadLetters({ tenantId, functionId, limit: 2, cursor })).rejects.toMatchObject({ status: 422 });
        }
      });
    });

    describe('dead letters', () => {
      it('are listed by the latest death, page by page, and counted', async () => {
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

    describe('payloads and results', () => {
      const large = JSON.stringify({ text: 'ä€😀'.repeat(10_000) });

      it('of a few KB stay with the record through claim and completion', async () => {
        const payload = await store.place(JSON.stringify('p'.repeat(5_000)));
        const result = await store.place(JSON.stringify('r'.repeat(5_000)));
        expect([payload.kind, result.kind]).toEqual(['inline', 'inline']);
        const { requestId } = await accepted(asking({ payload }));
        expect((await read(requestId)).payload).toEqual(payload);
        const first = await claimed(requestId);
        expect(first.head.payload).toEqual(payload);
        await store.complete(first.ref, failed(), policy());
        const second = await claimed(requestId, claiming({ now: T0 + 60 * SEC }));
        expect(second.head.payload).toEqual(payload);
        await store.complete(second.ref, { ...ended(), result }, policy());
        expect((await read(requestId)).result).toEqual(result);
      });

      it('that are large are kept apart, by their digest, and read whole', async () => {
        const payload = await store.place(large);
        expect(payload).toEqual({
          kind: 'blob',
          digest: createHash('sha256').update(large).digest('hex'),
          bytes: Buffer.byteLength(large),
        });
        const { requestId } = await accepted(asking({ payload }));
        const { head, ref } = await claimed(requestId);
        expect(await store.bytes(head.payload!)).toBe(large);
        await store.complete(ref, { ...ended(), result: await store.place(large) }, policy());
        expect(await store.bytes((await read(requestId)).result!)).toBe(large);
      });

      it('are bounded by bytes, not by signs', async () => {
        const signs = (count: number, sign: string): Promise<{ kind: string }> => store.place(JSON.stringify(sign.repeat(count)));
        expect((await signs(DEFAULTS.rowPayloadBytes - 2, 'a')).kind).toBe('inline');
        expect((await signs(DEFAULTS.rowPayloadBytes - 1, 'a')).kind).toBe('blob');
        expect((await signs(DEFAULTS.rowPayloadBytes / 2, 'ä')).kind).toBe('blob');
      });
    });
  });
}
