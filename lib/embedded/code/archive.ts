import { crc32 } from 'node:zlib';
import { type Entry, fromBufferPromise, getFileNameLowLevel, type ZipFile } from 'yauzl';
import { DEFAULTS } from '../../core/defaults.js';
import { collision, entryFault, pathFault } from '../../core/functions/files.js';
import type { Archives } from '../../core/functions/port.js';
import { invalid, Refusal } from '../../core/refusal.js';

export interface ArchiveLimits {
  archiveBytes: number;
  unpackedBytes: number;
  files: number;
}

const LIMITS: ArchiveLimits = { archiveBytes: DEFAULTS.archiveBytes, unpackedBytes: DEFAULTS.unpackedBytes, files: DEFAULTS.archiveFiles };

/** File types in the upper half of a Unix entry's attributes. */
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;
const FOLDER = 0o040000;
const LINK = 0o120000;

/**
 * Reads zip archives into memory, one at a time so that memory stays bounded, and believes nothing that one says:
 * names are checked, bytes are counted while they come, and anything but plain files and folders is refused.
 */
export class ZipArchives implements Archives {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly limits: ArchiveLimits = LIMITS) {}

  unpack(zip: Uint8Array): Promise<ReadonlyMap<string, Uint8Array>> {
    const mine = this.last.then(() => this.unpackNow(zip));
    this.last = mine.catch(() => undefined);
    return mine;
  }

  private async unpackNow(zip: Uint8Array): Promise<ReadonlyMap<string, Uint8Array>> {
    const { archiveBytes, files: most } = this.limits;
    if (zip.byteLength > archiveBytes) throw refused(`the archive has ${zip.byteLength} bytes`, `at most ${archiveBytes} bytes`);
    const archive = await opened(zip);
    if (archive.entryCount > most) throw refused(`the archive has ${archive.entryCount} entries`, `at most ${most}`);
    const files = new Map<string, Uint8Array>();
    let left = this.limits.unpackedBytes;
    for await (const entry of entriesOf(archive)) {
      const path = checkedPath(entry);
      if (path === undefined) continue;
      if (files.has(path)) throw invalid([entryFault(path, 'is in the archive twice')]);
      const bytes = await inflated(archive, entry, path, left);
      left -= bytes.byteLength;
      files.set(path, bytes);
    }
    if (files.size === 0) throw refused('the archive holds no file');
    const twice = collision(files.keys());
    if (twice !== undefined) throw invalid([entryFault(twice, 'stands where another path needs a folder')]);
    return files;
  }
}

const refused = (message: string, allowed?: string): Refusal => invalid([{ field: 'code', message, allowed }]);

async function opened(zip: Uint8Array): Promise<ZipFile> {
  try {
    // Names stay raw: the library would turn backslashes into slashes before we could refuse them.
    return await fromBufferPromise(Buffer.from(zip.buffer, zip.byteOffset, zip.byteLength), { lazyEntries: true, decodeStrings: false });
  } catch (error) {
    throw refused(`it is no zip archive that can be read: ${(error as Error).message}`);
  }
}

async function* entriesOf(archive: ZipFile): AsyncGenerator<Entry> {
  try {
    yield* archive.eachEntry();
  } catch (error) {
    throw error instanceof Refusal ? error : refused(`the archive is damaged: ${(error as Error).message}`);
  }
}

/** The path of a file; undefined for a folder. */
function checkedPath(entry: Entry): string | undefined {
  const name = getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true);
  const isFolder = name.endsWith('/');
  const path = isFolder ? name.slice(0, -1) : name;
  const why = pathFault(path) ?? typeFault(entry, isFolder) ?? (entry.isEncrypted() ? 'is encrypted' : undefined);
  if (why) throw invalid([entryFault(name, why)]);
  if (!isFolder && !entry.canDecodeFileData())
    throw invalid([entryFault(name, `is compressed by method ${entry.compressionMethod}; only stored and deflated entries can be read`)]);
  return isFolder ? undefined : path;
}

function typeFault(entry: Entry, isFolder: boolean): string | undefined {
  const type = (entry.externalFileAttributes >>> 16) & TYPE_MASK;
  if (type === LINK) return 'is a link';
  if (type === 0 || type === (isFolder ? FOLDER : REGULAR)) return undefined;
  return 'is neither a plain file nor a folder';
}

/** @param left bytes that may still come: counted as they come, since a header can say anything */
async function inflated(archive: ZipFile, entry: Entry, path: string, left: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  let sum = 0;
  if (entry.uncompressedSize > left) throw tooMuch(path);
  try {
    for await (const chunk of await archive.openReadStreamPromise(entry)) {
      size += (chunk as Buffer).length;
      if (size > left) throw tooMuch(path);
      sum = crc32(chunk as Buffer, sum);
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    throw error instanceof Refusal ? error : invalid([entryFault(path, `cannot be read: ${(error as Error).message}`)]);
  }
  if (sum !== entry.crc32) throw invalid([entryFault(path, 'is damaged: its checksum is another')]);
  return Buffer.concat(chunks, size);
}

const tooMuch = (path: string): Refusal =>
  invalid([{ ...entryFault(path, 'makes the unpacked archive too large'), allowed: `at most ${LIMITS.unpackedBytes} bytes in all` }]);
