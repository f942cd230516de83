import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CodeStore } from '../../../lib/core/functions/port.js';

export const filesOf = (files: Record<string, string | Uint8Array>): Map<string, Uint8Array> =>
  new Map(Object.entries(files).map(([path, content]) => [path, typeof content === 'string' ? Buffer.from(content) : content]));

/** Every adapter of CodeStore is held to this. `damage` breaks what lies on this machine, as a disk or a person would. */
export function codeStoreContract(
  name: string,
  make: () => Promise<{ store: CodeStore; again(): CodeStore; close(): Promise<void> }>,
): void {
  describe(`CodeStore: ${name}`, () => {
    let store: CodeStore;
    let again: () => CodeStore;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ store, again, close } = await make());
    });
    afterAll(() => close());

    it('gives a folder that holds what was put', async () => {
      const { codeSha256, sizeBytes } = await store.put(filesOf({ 'index.js': 'one', 'lib/two.js': 'two', empty: '' }));
      expect(sizeBytes).toBe(6);
      expect(await store.has(codeSha256)).toBe(true);
      const folder = await store.folder(codeSha256);
      expect(await readFile(join(folder, 'lib/two.js'), 'utf8')).toBe('two');
      expect((await stat(join(folder, 'empty'))).size).toBe(0);
      expect(await again().folder(codeSha256)).toBe(folder);
    });

    it('gives the same digest to the same content in any order, and another one to any other content', async () => {
      const one = await store.put(filesOf({ a: '1', b: '2' }));
      const same = await store.put(filesOf({ b: '2', a: '1' }));
      expect(same).toEqual(one);
      const others: Record<string, string>[] = [{ a: '2', b: '1' }, { a: '1' }, { a: '12', b: '' }, { 'a/b': '1', c: '2' }];
      for (const other of others) {
        expect((await store.put(filesOf(other))).codeSha256).not.toBe(one.codeSha256);
      }
    });

    it('takes the same content from many at once', async () => {
      const puts = await Promise.all(Array.from({ length: 8 }, () => store.put(filesOf({ 'index.js': 'at once', 'b.js': 'x' }))));
      expect(new Set(puts.map((each) => each.codeSha256)).size).toBe(1);
      expect(await readFile(join(await store.folder(puts[0]!.codeSha256), 'b.js'), 'utf8')).toBe('x');
    });

    it('lets every user read the code, write none of it, and run programs in it', async () => {
      const { codeSha256 } = await store.put(filesOf({ 'lib/x.js': 'x', 'run.sh': '#!/bin/sh\n', bootstrap: 'any' }));
      const folder = await store.folder(codeSha256);
      const mode = async (path: string) => (await stat(join(folder, path))).mode & 0o777;
      expect([await mode('.'), await mode('lib'), await mode('lib/x.js'), await mode('run.sh'), await mode('bootstrap')]).toEqual([
        0o755, 0o755, 0o644, 0o755, 0o755,
      ]);
    });

    it('tells of code that is not there as a fault of the platform', async () => {
      expect(await store.has('0'.repeat(64))).toBe(false);
      await expect(store.folder('0'.repeat(64))).rejects.toMatchObject({ name: 'PlatformFault' });
      await expect(store.folder('../../etc')).rejects.toMatchObject({ name: 'PlatformFault' });
    });
  });
}
