import { createHash } from 'node:crypto';
import { DEFAULTS } from '../../../lib/core/defaults.js';
import { claiming, ended, failed, policy, type Scene, SEC, T0 } from './scene.js';

/** Where payloads and results are kept. */
export function payloadsContract(scene: () => Scene): void {
  describe('payloads and results', () => {
    const large = JSON.stringify({ text: 'ä€😀'.repeat(10_000) });

    it('of a few KB stay with the record through claim and completion', async () => {
      const { store, asking, accepted, claimed, read } = scene();
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
      const { store, asking, accepted, claimed, read } = scene();
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
      const { store } = scene();
      const signs = (count: number, sign: string): Promise<{ kind: string }> => store.place(JSON.stringify(sign.repeat(count)));
      expect((await signs(DEFAULTS.rowPayloadBytes - 2, 'a')).kind).toBe('inline');
      expect((await signs(DEFAULTS.rowPayloadBytes - 1, 'a')).kind).toBe('blob');
      expect((await signs(DEFAULTS.rowPayloadBytes / 2, 'ä')).kind).toBe('blob');
    });
  });
}
