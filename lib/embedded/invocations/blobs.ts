import { mkdirSync, unlinkSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PlatformFault } from '../../core/refusal.js';
import { sha256 } from '../code/digest.js';

/** A file that no row names is removed only after this long: its row may be about to be written. */
const ORPHAN_AFTER_MS = 3_600_000;

/** Large payloads and results as files named by the digest of their bytes, on disk before any row names them. */
export class Blobs {
  /** Digest -> when it was placed: those that a row may still be about to name. */
  readonly #placed = new Map<string, number>();
  readonly #folder: string;
  #temporary = 0;

  constructor(dataDir: string) {
    this.#folder = join(dataDir, 'blobs');
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  async put(bytes: Buffer): Promise<string> {
    const digest = await sha256(bytes);
    // Before the next await: from here on the file is kept, whether it is there already or not.
    this.#placed.set(digest, Date.now());
    const path = this.#path(digest);
    if (await exists(path, bytes.length)) return digest;
    try {
      await this.#write(path, bytes);
    } catch (cause) {
      throw new PlatformFault('A large payload or result could not be stored.', { cause });
    }
    return digest;
  }

  async get(digest: string): Promise<string> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#path(digest));
    } catch (cause) {
      throw new PlatformFault('A stored payload or result cannot be read.', { cause });
    }
    if ((await sha256(bytes)) !== digest) throw new PlatformFault('A stored payload or result is damaged.');
    return bytes.toString('utf8');
  }

  /** Removes what no row names. `named` answers which of some digests are named. The number removed. */
  async removeOrphans(named: (digests: string[]) => Promise<string[]>): Promise<number> {
    // File times are wall clock, so all of this is.
    const now = Date.now();
    for (const [digest, at] of this.#placed) if (now - at > ORPHAN_AFTER_MS) this.#placed.delete(digest);
    let removed = 0;
    for (const part of await readdir(this.#folder)) {
      const old: string[] = [];
      for (const name of await readdir(join(this.#folder, part))) {
        const found = await stat(join(this.#folder, part, name)).catch(() => undefined);
        if (found && now - found.mtimeMs > ORPHAN_AFTER_MS) old.push(name);
      }
      if (old.length > 0) removed += this.#removeUnnamed(part, old, new Set(await named(old.map((name) => name.slice(0, 64)))));
    }
    return removed;
  }

  /** No await between the look at `#placed` and the removal: a put that reuses the file is either seen here or writes it anew. */
  #removeUnnamed(part: string, names: string[], named: ReadonlySet<string>): number {
    const orphans = names.filter((name) => !named.has(name.slice(0, 64)) && !this.#placed.has(name.slice(0, 64)));
    for (const name of orphans) unlinkSync(join(this.#folder, part, name));
    return orphans.length;
  }

  #path(digest: string): string {
    return join(this.#folder, digest.slice(0, 2), digest);
  }

  async #write(path: string, bytes: Buffer): Promise<void> {
    const folder = join(path, '..');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    this.#temporary += 1;
    const temporary = `${path}.${process.pid}.${this.#temporary}`;
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(folder);
    await syncFolder(this.#folder);
  }
}

async function exists(path: string, bytes: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.size === bytes;
}

/** The name itself must survive a power cut. Windows cannot sync a folder, and does not need to. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
