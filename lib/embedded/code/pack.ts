import { type FileHandle, open } from 'node:fs/promises';
import { digestOf, type FileMark, sha256 } from './digest.js';

/**
 * The packed original of an entry: `FNSPACK1`, length of the index (4 bytes), index (JSON of FileMarks), then the
 * files one after the other. Uncompressed: it is read only when the folder beside it is damaged or gone.
 */
const MAGIC = Buffer.from('FNSPACK1');
const INDEX_BYTES_MAX = 64 * 1024 * 1024;

export async function writePack(path: string, marks: readonly FileMark[], files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const index = Buffer.from(JSON.stringify(marks));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(index.length);
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.writev([MAGIC, length, index]);
    for (const { path: file } of marks) await handle.writeFile(files.get(file) as Uint8Array);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Hands over each file, verified. Throws where anything is not what `digest` says. */
export async function readPack(
  path: string,
  digest: string,
  take: (mark: FileMark, bytes: Uint8Array) => Promise<void>,
): Promise<FileMark[]> {
  const handle = await open(path, 'r');
  try {
    const { marks, start } = await readIndex(handle);
    if (digestOf(marks) !== digest) throw new Error('its index is not of this digest');
    let at = start;
    for (const mark of marks) {
      const bytes = await readAt(handle, at, mark.size);
      if ((await sha256(bytes)) !== mark.sha256) throw new Error(`'${mark.path}' in it is damaged`);
      await take(mark, bytes);
      at += mark.size;
    }
    return marks;
  } finally {
    await handle.close();
  }
}

/** The marks alone, verified against the digest: for telling whether a folder is whole. */
export async function packMarks(path: string, digest: string): Promise<FileMark[]> {
  const handle = await open(path, 'r');
  try {
    const { marks } = await readIndex(handle);
    if (digestOf(marks) !== digest) throw new Error('its index is not of this digest');
    return marks;
  } finally {
    await handle.close();
  }
}

async function readIndex(handle: FileHandle): Promise<{ marks: FileMark[]; start: number }> {
  const head = await readAt(handle, 0, MAGIC.length + 4);
  if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('it does not begin like a pack');
  const length = head.readUInt32BE(MAGIC.length);
  if (length > INDEX_BYTES_MAX) throw new Error('its index is too large');
  const start = MAGIC.length + 4 + length;
  const marks = JSON.parse((await readAt(handle, MAGIC.length + 4, length)).toString('utf8')) as FileMark[];
  return { marks, start };
}

async function readAt(handle: FileHandle, position: number, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await handle.read(bytes, done, size - done, position + done);
    if (bytesRead === 0) throw new Error('it ends too early');
    done += bytesRead;
  }
  return bytes;
}
