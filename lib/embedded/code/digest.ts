import { createHash, webcrypto } from 'node:crypto';

/** Hashed on the thread pool from here: a hash of 64 KB takes the main thread about 150 us. */
const AWAY_BYTES = 64 * 1024;

/** sha256 as hex; large ones off the main thread, so that no call waits for a deploy. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  if (bytes.byteLength < AWAY_BYTES) return createHash('sha256').update(bytes).digest('hex');
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString('hex');
}

/** One file of an entry. */
export interface FileMark {
  path: string;
  size: number;
  sha256: string;
}

/** The digest of code: of its sorted paths and contents, whatever order or archive they came in. */
export function digestOf(marks: readonly FileMark[]): string {
  const hash = createHash('sha256');
  for (const { path, sha256: content } of sorted(marks)) hash.update(`${content}\0${path}\0`);
  return hash.digest('hex');
}

export const sorted = (marks: readonly FileMark[]): FileMark[] =>
  [...marks].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
