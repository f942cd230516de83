import { appendFile, mkdtemp, readdir, readFile, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderCodeStore } from '../../lib/embedded/code/code-store.js';
import { codeStoreContract, filesOf } from './ports/code.js';

codeStoreContract('embedded', async () => {
  const root = await mkdtemp(join(tmpdir(), 'fns-code-'));
  return {
    store: new FolderCodeStore(root),
    again: () => new FolderCodeStore(root),
    close: () => rm(root, { recursive: true, force: true }),
  };
});

describe('damage to the code on this machine', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'fns-code-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));
  const files = filesOf({ 'index.js': 'whole', 'lib/other.js': 'other' });

  it.each([
    ['a changed file', (folder: string) => writeFile(join(folder, 'index.js'), 'WHOLE')],
    ['a longer file', (folder: string) => appendFile(join(folder, 'index.js'), '!')],
    ['a missing file', (folder: string) => unlink(join(folder, 'lib/other.js'))],
    ['a missing folder', (folder: string) => rm(folder, { recursive: true })],
  ])('%s is found and mended from the packed original, while running and after a start', async (_, damage) => {
    const store = new FolderCodeStore(root);
    const { codeSha256 } = await store.put(files);
    for (const reader of [store, new FolderCodeStore(root)]) {
      const folder = await reader.folder(codeSha256);
      await damage(folder);
      const mended = await reader.folder(codeSha256);
      expect(await readFile(join(mended, 'index.js'), 'utf8')).toBe('whole');
      expect(await readFile(join(mended, 'lib/other.js'), 'utf8')).toBe('other');
    }
    expect((await readdir(join(root, codeSha256))).sort()).toEqual(['code', 'code.pack']);
  });

  it('makes the packed original again while the folder is whole', async () => {
    const store = new FolderCodeStore(root);
    const { codeSha256 } = await store.put(files);
    const pack = join(root, codeSha256, 'code.pack');
    const original = await readFile(pack);
    await writeFile(pack, original.subarray(0, 20));
    await new FolderCodeStore(root).folder(codeSha256);
    expect(await readFile(pack)).toEqual(original);
  });

  it('says so clearly when both are gone, and takes the code again', async () => {
    const store = new FolderCodeStore(root);
    const { codeSha256 } = await store.put(files);
    await writeFile(join(root, codeSha256, 'code/index.js'), 'damaged');
    await writeFile(join(root, codeSha256, 'code.pack'), 'damaged');
    await expect(store.folder(codeSha256)).rejects.toThrow(/packed original cannot be used either; put the code again/);
    await expect(store.put(files)).resolves.toMatchObject({ codeSha256 });
    expect(await readFile(join(await store.folder(codeSha256), 'index.js'), 'utf8')).toBe('whole');
  });

  it('sweeps what nothing points to once it is old, and nothing else', async () => {
    const store = new FolderCodeStore(root);
    const used = await store.put(files);
    const old = await store.put(filesOf({ 'a.js': 'old' }));
    const young = await store.put(filesOf({ 'a.js': 'young' }));
    const now = Date.now();
    for (const { codeSha256 } of [used, old]) await utimes(join(root, codeSha256), new Date(now - 7200_000), new Date(now - 7200_000));
    expect(await store.sweep(new Set([used.codeSha256]), 3600_000, now)).toBe(1);
    expect((await readdir(root)).sort()).toEqual([used.codeSha256, young.codeSha256].sort());
    await expect(stat(join(root, old.codeSha256))).rejects.toThrow();
  });
});
