import { DEFAULTS } from '../../../lib/core/defaults.js';
import { asTenantId } from '../../../lib/core/ids.js';
import { ended, lost, policy, type Scene, T0 } from './scene.js';

/** What a request becomes when it is accepted, and what its key decides. */
export function acceptContract(scene: () => Scene): void {
  describe('accept', () => {
    it('keeps a new request as it was given, and shows it at once', async () => {
      const { asking, accepted, read } = scene();
      const request = asking({ source: { type: 'queue', queue: 'orders', messageId: 'm1' }, priority: 'high', qualifier: '3' });
      const head = await accepted(request);
      expect(await read(request.requestId)).toEqual(head);
      expect(head).toMatchObject({ state: 'ACCEPTED', qualifier: '3', priority: 'high', attempt: 0, payload: request.payload });
    });

    it('shows nothing to another tenant', async () => {
      const { store, asking, accepted } = scene();
      const { requestId } = await accepted(asking());
      expect(await store.get(asTenantId('somebody-else'), requestId)).toBeUndefined();
    });

    it('accepts and claims a sync call in one write', async () => {
      const { syncAsking, accepted, read, readyIds } = scene();
      const head = await accepted(syncAsking());
      expect(head).toMatchObject({ state: 'RUNNING', attempt: 1, lease: { owner: 'me' } });
      expect(await read(head.requestId)).toEqual(head);
      expect(await readyIds()).toEqual([]);
    });

    it('knows its own write again by the nonce', async () => {
      const { store, keyed, asking, readyIds } = scene();
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
      const { store, keyed, syncAsking, accepted } = scene();
      const first = await accepted(syncAsking({ key: keyed('k') }));
      await store.complete({ requestId: first.requestId, attempt: 1, nonce: first.lastNonce }, ended(), policy());
      const again = await store.accept(syncAsking({ key: keyed('k') }));
      expect(again).toMatchObject({
        kind: 'replayed',
        head: { requestId: first.requestId, state: 'SUCCEEDED', result: { json: '{"ok":true}' } },
      });
    });

    it('says that the first call still runs', async () => {
      const { store, keyed, syncAsking, accepted } = scene();
      const first = await accepted(syncAsking({ key: keyed('k') }));
      expect(await store.accept(syncAsking({ key: keyed('k') }))).toMatchObject({
        kind: 'running',
        head: { requestId: first.requestId },
      });
    });

    it('refuses another payload under the same key', async () => {
      const { store, tenantId, keyed, asking, accepted } = scene();
      await accepted(asking({ key: keyed('k') }));
      const other = asking({ key: keyed('k', 'another digest') });
      expect((await store.accept(other)).kind).toBe('conflict');
      expect(await store.get(tenantId, other.requestId)).toBeUndefined();
    });

    it('lets one of many at the same time win the key', async () => {
      const { store, keyed, asking, readyIds } = scene();
      const decisions = await Promise.all(Array.from({ length: 20 }, () => store.accept(asking({ key: keyed('race') }))));
      expect(decisions.filter((d) => d.kind === 'accepted')).toHaveLength(1);
      expect(decisions.filter((d) => d.kind === 'running')).toHaveLength(19);
      expect(await readyIds()).toHaveLength(1);
    });

    it('makes a new invocation once the key has expired, whatever still lies about', async () => {
      const { store, keyed, asking, accepted, read } = scene();
      const first = await accepted(asking({ key: keyed('k') }));
      const later = T0 + DEFAULTS.keyTtlMs;
      const second = await accepted(asking({ key: keyed('k', 'd', later), now: later }));
      expect(second.requestId).not.toBe(first.requestId);
      expect((await store.accept(asking({ key: keyed('k', 'd', later), now: later + 1 }))).head.requestId).toBe(second.requestId);
      expect(await read(first.requestId)).toEqual(first);
    });

    it('runs a sync call again under its key when the platform had failed it', async () => {
      const { store, ledger, keyed, syncAsking, accepted, read } = scene();
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
      expect(await ledger(first.requestId)).toMatchObject([{ attempt: 2, first: true, billedMs: 13 }]);
    });
  });
}
