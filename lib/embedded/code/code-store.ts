import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CodeStore } from '../../core/functions/port.js';
import { PlatformFault } from '../../core/refusal.js';
import { digestOf, type FileMark, sha256, sorted } from './digest.js';
import { packMarks, readPack, writePack } from './pack.js';

const FOLDER = 'code';
const PACK = 'code.pack';
const TEMP = 'new-';

/**
 * What a verified file looked like; another one in its place, or other bytes in it, look different. Not by ctime: each slot
 * that is given the code by hard links changes that.
 */
type Look = { path: string; ino: number; mtimeMs: number; size: number };

/**
 * Code by the digest of its content: `<root>/<digest>/code/` is what slots see, `<root>/<digest>/code.pack` is the
 * packed original from which a damaged folder is made again. The pack is fsynced before it gets its name; the
 * folder is not, since it is verified before its first use after every start.
 */
export class FolderCodeStore implements CodeStore {
  private readonly verified = new Map<string, Look[]>();
  private readonly underWay = new Map<string, Promise<string>>();
  private readonly keeping = new Map<string, Promise<void>>();

  /** @param root readable by the users of slots (0755): they see `code` folders and nothing else of the platform */
  constructor(private readonly root: string) {}

  async put(files: ReadonlyMap<string, Uint8Array>): Promise<{ codeSha256: string; sizeBytes: number }> {
    const marks: FileMark[] = [];
    for (const [path, bytes] of files) marks.push({ path, size: bytes.byteLength, sha256: await sha256(bytes) });
    const ordered = sorted(marks);
    const codeSha256 = digestOf(ordered);
    const sizeBytes = ordered.reduce((sum, { size }) => sum + size, 0);
    await this.keep(codeSha256, ordered, files);
    // Young again: a sweep that runs meanwhile must not take what is about to be pointed to.
    const now = new Date();
    await utimes(this.entry(codeSha256), now, now);
    return { codeSha256, sizeBytes };
  }

  /** One at a time for each digest: two deploys of the same code must not take each other's entry away. */
  private keep(codeSha256: string, marks: FileMark[], files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const before = this.keeping.get(codeSha256) ?? Promise.resolve();
    const mine = before.then(async () => {
      const whole = (await this.has(codeSha256)) && (await this.folder(codeSha256).catch(() => undefined));
      if (!whole) await this.make(codeSha256, marks, files);
    });
    const settled = mine
      .catch(() => undefined)
      .then(() => {
        if (this.keeping.get(codeSha256) === settled) this.keeping.delete(codeSha256);
      });
    this.keeping.set(codeSha256, settled);
    return mine;
  }

  async has(codeSha256: string): Promise<boolean> {
    return exists(join(this.entry(codeSha256), PACK));
  }

  folder(codeSha256: string): Promise<string> {
    const held = this.underWay.get(codeSha256);
    if (held) return held;
    const loading = this.load(codeSha256).finally(() => this.underWay.delete(codeSha256));
    this.underWay.set(codeSha256, loading);
    return loading;
  }

  /** Removes entries that nothing points to and that are older than `olderThanMs`, and what a crash left half made. */
  async sweep(inUse: ReadonlySet<string>, olderThanMs: number, now: number): Promise<number> {
    let gone = 0;
    for (const name of await readdir(this.root).catch(() => [])) {
      const path = join(this.root, name);
      const age = now - ((await stat(path).catch(() => undefined))?.mtimeMs ?? now);
      if (inUse.has(name) || age < olderThanMs) continue;
      await rm(path, { recursive: true, force: true });
      this.verified.delete(name);
      gone += 1;
    }
    return gone;
  }

  private async load(codeSha256: string): Promise<string> {
    if (!/^[0-9a-f]{64}$/.test(codeSha256)) throw new PlatformFault('a function points to code by no digest');
    const folder = join(this.entry(codeSha256), FOLDER);
    const looked = this.verified.get(codeSha256);
    if (looked && (await looksTheSame(folder, looked))) return folder;
    this.verified.delete(codeSha256);
    const pack = join(this.entry(codeSha256), PACK);
    const marks = await packMarks(pack, codeSha256).catch(() => undefined);
    const looks = await verify(folder, codeSha256, marks);
    if (looks) {
      // The folder is whole and its original is not: make that again while there is something to make it from.
      if (!marks) await this.packAgain(codeSha256, folder);
      this.verified.set(codeSha256, looks);
      return folder;
    }
    return this.restore(codeSha256, folder, pack);
  }

  private async make(codeSha256: string, marks: FileMark[], files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const fresh = join(this.root, `${TEMP}${randomBytes(8).toString('hex')}`);
    try {
      await mkdir(fresh, { recursive: true, mode: 0o755 });
      // The umask of the platform may be stricter than slots can live with.
      await Promise.all([chmod(this.root, 0o755), chmod(fresh, 0o755)]);
      await writePack(join(fresh, PACK), marks, files);
      for (const { path } of marks) await writeCodeFile(join(fresh, FOLDER), path, files.get(path) as Uint8Array);
      await rm(this.entry(codeSha256), { recursive: true, force: true });
      await rename(fresh, this.entry(codeSha256));
      await syncFolder(this.root);
    } catch (cause) {
      await rm(fresh, { recursive: true, force: true });
      throw new PlatformFault(`code cannot be stored (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, { cause });
    }
  }

  private async restore(codeSha256: string, folder: string, pack: string): Promise<string> {
    const fresh = `${folder}.${TEMP}${randomBytes(8).toString('hex')}`;
    try {
      await mkdir(fresh, { recursive: true, mode: 0o755 });
      const marks = await readPack(pack, codeSha256, (mark, bytes) => writeCodeFile(fresh, mark.path, bytes));
      const damaged = `${folder}.damaged-${randomBytes(4).toString('hex')}`;
      await rename(folder, damaged).catch(() => undefined);
      await rename(fresh, folder);
      await rm(damaged, { recursive: true, force: true });
      const looks = await verify(folder, codeSha256, marks);
      if (!looks) throw new Error('it is damaged again as soon as it is written');
      this.verified.set(codeSha256, looks);
      return folder;
    } catch (cause) {
      await rm(fresh, { recursive: true, force: true }).catch(() => undefined);
      const why = `the stored code ${codeSha256.slice(0, 12)}… is damaged and its packed original cannot be used either; put the code again`;
      throw new PlatformFault(why, { cause });
    }
  }

  private async packAgain(codeSha256: string, folder: string): Promise<void> {
    const files = new Map<string, Uint8Array>();
    for (const path of await filesUnder(folder)) files.set(path, await readFile(join(folder, path)));
    const marks: FileMark[] = [];
    for (const [path, bytes] of files) marks.push({ path, size: bytes.byteLength, sha256: await sha256(bytes) });
    const fresh = join(this.entry(codeSha256), `${PACK}.${TEMP}${randomBytes(8).toString('hex')}`);
    await writePack(fresh, sorted(marks), files);
    await rename(fresh, join(this.entry(codeSha256), PACK));
  }

  private entry(codeSha256: string): string {
    return join(this.root, codeSha256);
  }
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;

/** Readable by every slot's user, writable by the platform alone; scripts and binaries may be run. */
async function writeCodeFile(folder: string, path: string, bytes: Uint8Array): Promise<void> {
  const target = join(folder, path);
  await mkdirOpen(folder, dirname(path));
  await writeFile(target, bytes);
  await chmod(target, isProgram(path, bytes) ? 0o755 : 0o644);
}

async function mkdirOpen(folder: string, path: string): Promise<void> {
  await mkdir(join(folder, path), { recursive: true });
  for (let each = path; each !== '.'; each = dirname(each)) await chmod(join(folder, each), 0o755);
  await chmod(folder, 0o755);
}

const isProgram = (path: string, bytes: Uint8Array): boolean =>
  path === 'bootstrap' ||
  (bytes[0] === 0x23 && bytes[1] === 0x21) ||
  (bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46);

/** Every byte of every file against the digest; how the files looked then, or undefined where anything is wrong. */
async function verify(folder: string, codeSha256: string, known: FileMark[] | undefined): Promise<Look[] | undefined> {
  try {
    const paths = known ? known.map(({ path }) => path) : await filesUnder(folder);
    const marks: FileMark[] = [];
    const looks: Look[] = [];
    for (const path of paths) {
      const { ino, mtimeMs, size } = await stat(join(folder, path));
      const bytes = await readFile(join(folder, path));
      marks.push({ path, size, sha256: await sha256(bytes) });
      looks.push({ path, ino, mtimeMs, size });
    }
    return digestOf(marks) === codeSha256 ? looks : undefined;
  } catch {
    // A file or the folder is gone, or cannot be read: not whole.
    return undefined;
  }
}

async function looksTheSame(folder: string, looks: readonly Look[]): Promise<boolean> {
  const same = await Promise.all(
    looks.map(async (look) => {
      const now = await stat(join(folder, look.path)).catch(() => undefined);
      return now !== undefined && now.ino === look.ino && now.mtimeMs === look.mtimeMs && now.size === look.size;
    }),
  );
  return same.every(Boolean);
}

async function filesUnder(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((each) => each.isFile()).map((each) => join(each.parentPath ?? each.path, each.name).slice(folder.length + 1));
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
