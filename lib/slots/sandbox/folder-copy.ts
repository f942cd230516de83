import { chmodSync, copyFileSync, linkSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import { chmod, copyFile, link, mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** What an unpacked folder holds; relative paths. Code is immutable under its digest, so a listing is read once. */
interface Listing {
  folders: string[];
  files: { path: string; mode: number }[];
}

/** Up to here linking in place is faster than the thread pool (a link costs about 10 us). */
const FILES_IN_PLACE = 64;
const LISTINGS_KEPT = 500;

const listings = new Map<string, Listing>();

async function list(folder: string): Promise<Listing> {
  const known = listings.get(folder);
  if (known) return known;
  const listing: Listing = { folders: [], files: [] };
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1);
    // Links are not followed: an archive's were refused at upload, and one made later would lead out of the folder.
    if (entry.isDirectory()) listing.folders.push(path);
    else if (entry.isFile()) listing.files.push({ path, mode: (await stat(join(folder, path))).mode });
  }
  listing.folders.sort((a, b) => a.length - b.length);
  listings.set(folder, listing);
  if (listings.size > LISTINGS_KEPT) listings.delete(listings.keys().next().value as string);
  return listing;
}

/** Everyone may read what a slot is given, and nobody but the owner may write it. */
const slotMode = (mode: number): number => 0o444 | (mode & 0o111 ? 0o111 : 0) | (mode & 0o200);

/** A hard link does where the slot's user can read the file as it is and nobody else may write it. */
const canLink = (mode: number): boolean => (mode & 0o022) === 0 && (mode & 0o004) !== 0;

/** What a failed link means; a missing source is a damaged code folder. */
const linkFailed = (error: unknown): 'there' | 'copy' => {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') throw error;
  return code === 'EEXIST' ? 'there' : 'copy';
};

function linkInPlace(from: string, to: string, mode: number): void {
  if (canLink(mode)) {
    try {
      linkSync(from, to);
      return;
    } catch (error) {
      // A layer below brought it; a link must not be written through.
      if (linkFailed(error) === 'there') unlinkSync(to);
    }
  }
  copyFileSync(from, to);
  chmodSync(to, slotMode(mode));
}

async function linkAside(from: string, to: string, mode: number): Promise<void> {
  if (canLink(mode)) {
    try {
      await link(from, to);
      return;
    } catch (error) {
      if (linkFailed(error) === 'there') await unlink(to);
    }
  }
  await copyFile(from, to);
  await chmod(to, slotMode(mode));
}

/** Puts the content of `from` into the existing folder `to`; a file that is there already is replaced (layers, in order). */
export async function fillFolder(from: string, to: string): Promise<void> {
  const listing = await list(from);
  if (listing.files.length + listing.folders.length <= FILES_IN_PLACE) {
    for (const folder of listing.folders) mkdirSync(join(to, folder), { recursive: true, mode: 0o755 });
    for (const { path, mode } of listing.files) linkInPlace(join(from, path), join(to, path), mode);
    return;
  }
  for (const folder of listing.folders) await mkdir(join(to, folder), { recursive: true, mode: 0o755 });
  const queue = listing.files.values();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const { path, mode } of queue) await linkAside(join(from, path), join(to, path), mode);
    }),
  );
}

/** True when every folder above `path` can be passed, and `path` itself read, by any user. */
export function readableByAll(path: string): boolean {
  const parts = path.split('/').filter(Boolean);
  for (let depth = 1; depth < parts.length; depth += 1) {
    if ((statSync(`/${parts.slice(0, depth).join('/')}`).mode & 0o001) === 0) return false;
  }
  return (statSync(path).mode & 0o004) !== 0;
}
