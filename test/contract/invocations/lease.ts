import { DEFAULTS } from '../../../lib/core/defaults.js';
import type { Head } from '../../../lib/core/invocations/model.js';
import { claiming, ended, lost, newId, nonce, policy, type Scene, SEC, T0 } from './scene.js';

/** Who may run a request, and how it comes back from an owner. */
export function leaseContract(scene: () => Scene): void {
  describe('claim', () => {
    it('leases the request with its payload to one owner', async () => {
      const { store, asking, accepted, claimed, readyIds } = scene();
      const { requestId } = await accepted(asking());
      const { head } = await claimed(requestId);
      expect(head).toMatchObject({ state: 'RUNNING', attempt: 1, payload: { json: '{"a":1}' }, lease: { owner: 'me', attempt: 1 } });
      expect(await readyIds()).toEqual([]);
      await store.heartbeat('me', T0 + SEC);
      const other = await store.claim(requestId, claiming({ owner: 'other', now: T0 + 2 * SEC }));
      expect(other).toEqual({ kind: 'leasedUntil', until: T0 + SEC + DEFAULTS.ownerSilentMs });
    });

    it('is the same claim when it is repeated', async () => {
      const { asking, accepted, claimed } = scene();
      const { requestId } = await accepted(asking());
      const request = claiming();
      const first = await claimed(requestId, request);
      expect((await claimed(requestId, request)).head).toEqual(first.head);
    });

    it('names what cannot be claimed', async () => {
      const { store, asking, syncAsking, accepted } = scene();
      expect(await store.claim(newId(), claiming())).toEqual({ kind: 'missing' });
      const later = await accepted(asking({ readyAt: T0 + 60 * SEC }));
      expect(await store.claim(later.requestId, claiming())).toEqual({ kind: 'notBefore', at: T0 + 60 * SEC });
      const done = await accepted(syncAsking());
      await store.complete({ requestId: done.requestId, attempt: 1, nonce: done.lastNonce }, ended(), policy());
      expect(await store.claim(done.requestId, claiming())).toMatchObject({ kind: 'terminal', head: { state: 'SUCCEEDED' } });
    });

    it('frees a request whose lease is void, and gives it in its next turn', async () => {
      const { store, ledger, asking, accepted, claimed } = scene();
      const { requestId } = await accepted(asking());
      const old = await claimed(requestId, claiming({ owner: 'silent', voidAt: T0 + 10 * SEC }));
      expect(await store.claim(requestId, claiming({ now: T0 + 10 * SEC }))).toMatchObject({
        kind: 'freed',
        head: { state: 'RETRYING' },
      });
      const { head } = await claimed(requestId, claiming({ now: T0 + 11 * SEC, voidAt: T0 + 60 * SEC }));
      expect(head).toMatchObject({ attempt: 2, attempts: [{ attempt: 1, outcome: 'LOST', fault: 'platform', billedMs: 0 }] });
      expect((await store.complete(old.ref, ended(), policy(T0 + 12 * SEC))).kind).toBe('stale');
      expect(await ledger(requestId)).toEqual([]);
    });

    it('that has freed or buried a request says so again when it is repeated', async () => {
      const { store, asking, accepted, claimed } = scene();
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
      const { store, tenantId, functionId, asking, accepted } = scene();
      const { requestId } = await accepted(asking());
      const decision = await store.claim(requestId, claiming({ now: T0 + 61 * SEC, maxAgeSec: 60 }));
      expect(decision).toMatchObject({ kind: 'buried', head: { state: 'DEAD', deadReason: 'max_age' } });
      expect((await store.deadLetters({ tenantId, functionId, limit: 10 })).items).toHaveLength(1);
    });
  });

  describe('giving back', () => {
    it('releases, defers and parks what had not started, under the same attempt number', async () => {
      const { store, asking, accepted, claimed, read, readyIds } = scene();
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
      const { store, asking, accepted, claimed, read } = scene();
      const { requestId } = await accepted(asking());
      const { ref } = await claimed(requestId);
      expect(await store.release({ ...ref, nonce: 'forged' }, T0)).toBe(false);
      expect(await store.release(ref, T0 + 2 * SEC)).toBe(true);
      expect(await store.release(ref, T0 + 3 * SEC)).toBe(true);
      expect((await read(requestId)).readyAt).toBe(T0 + 2 * SEC);
      expect(await store.release({ requestId: newId(), attempt: 1, nonce: 'x' }, T0)).toBe(false);
    });

    it('withdraws a refused sync call as if it had never been, and its key with it', async () => {
      const { store, tenantId, keyed, syncAsking, accepted } = scene();
      const request = syncAsking({ key: keyed('k') });
      const head = await accepted(request);
      const ref = { requestId: head.requestId, attempt: 1, nonce: request.nonce };
      expect(await store.withdraw(ref)).toBe(true);
      expect(await store.get(tenantId, head.requestId)).toBeUndefined();
      expect(await store.withdraw(ref)).toBe(false);
      expect((await store.accept(syncAsking({ key: keyed('k', 'another payload') }))).kind).toBe('accepted');
    });

    it('leaves what an earlier call under the key had left', async () => {
      const { store, keyed, syncAsking, accepted, read } = scene();
      const first = await accepted(syncAsking({ key: keyed('k') }));
      await store.complete({ requestId: first.requestId, attempt: 1, nonce: first.lastNonce }, lost(), policy());
      const again = syncAsking({ key: keyed('k') });
      await store.accept(again);
      expect(await store.withdraw({ requestId: first.requestId, attempt: 2, nonce: again.nonce })).toBe(true);
      expect(await read(first.requestId)).toMatchObject({ state: 'FAILED', attempt: 1, attempts: [{ outcome: 'LOST' }] });
      expect((await store.accept(syncAsking({ key: keyed('k') }))).kind).toBe('accepted');
    });
  });

  describe('takeover', () => {
    it('frees what dead owners held, and nobody else’s', async () => {
      const { store, tenantId, asking, accepted, claimed, read, readyIds } = scene();
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
      const { store, tenantId, asking, accepted, claimed } = scene();
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
      const { store, tenantId, asking, accepted, claimed } = scene();
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
      const { store, tenantId, syncAsking, accepted, read } = scene();
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
      const { store, tenantId, functionId, asking, accepted, claimed, read } = scene();
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
}
