import { closeSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { crc32 } from './frames.js';

/**
 * A sealed segment: compressed blocks of one tenant's function each, then an index of them, then a trailer.
 * Never changed once it has its name, which says what lies in it: `<first seq>-<last seq>-<from ms>-<to ms>.seg`.
 */
export interface Segment {
  path: string;
  firstSeq: number;
  lastSeq: number;
  fromMs: number;
  toMs: number;
  bytes: number;
}

export interface Block {
  owner: string;
  offset: number;
  bytes: number;
  crc: number;
  codec: 'deflate' | 'brotli';
  firstSeq: number;
  lastSeq: number;
  fromMs: number;
  toMs: number;
}

type BlockRow = [offset: number, bytes: number, crc: number, codec: 0 | 1, firstSeq: number, lastSeq: number, fromMs: number, toMs: number];

const TRAILER = Buffer.from('FNLSEG1\n');
const TRAILER_BYTES = 8 + TRAILER.length;
const NAME = /^(\d+)-(\d+)-(\d+)-(\d+)\.seg$/;

export function segmentOf(folder: string, name: string): Segment | undefined {
  const found = NAME.exec(name);
  if (!found) return undefined;
  const [firstSeq, lastSeq, fromMs, toMs] = found.slice(1).map(Number) as [number, number, number, number];
  const path = join(folder, name);
  return { path, firstSeq, lastSeq, fromMs, toMs, bytes: statSync(path).size };
}

export type Codec = Block['codec'];

/** Hot blocks are made cheaply, archived ones small: brotli 5 took a sixth less than deflate 3 on made-up log text. */
export const pack = (text: string, codec: Codec): Buffer =>
  codec === 'deflate'
    ? deflateRawSync(text, { level: 3 })
    : brotliCompressSync(text, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT },
      });

const unpack = (bytes: Buffer, codec: Codec): string =>
  (codec === 'deflate' ? inflateRawSync(bytes) : brotliDecompressSync(bytes)).toString('utf8');

/** Writes blocks one after the other into a file that gets its name only when it is whole. */
export class SegmentWriter {
  private readonly temporary: string;
  private readonly fd: number;
  private readonly blocks: Block[] = [];
  private offset = 0;

  constructor(private readonly folder: string) {
    this.temporary = join(folder, `${process.pid}-${Math.floor(performance.now() * 1000)}.tmp`);
    this.fd = openSync(this.temporary, 'wx', 0o600);
  }

  add(packed: Buffer, of: Omit<Block, 'offset' | 'bytes' | 'crc'>): void {
    this.blocks.push({ ...of, offset: this.offset, bytes: packed.length, crc: crc32(packed) });
    this.write(packed);
  }

  finish(): Segment {
    const byOwner: Record<string, BlockRow[]> = {};
    for (const { owner, offset, bytes, crc, codec, firstSeq, lastSeq, fromMs, toMs } of this.blocks) {
      byOwner[owner] ??= [];
      byOwner[owner].push([offset, bytes, crc, codec === 'deflate' ? 0 : 1, firstSeq, lastSeq, fromMs, toMs]);
    }
    const index = pack(JSON.stringify(byOwner), 'deflate');
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(index.length, 0);
    trailer.writeUInt32LE(crc32(index), 4);
    this.write(Buffer.concat([index, trailer, TRAILER]));
    closeSync(this.fd);
    const least = (pick: (block: Block) => number): number => this.blocks.reduce((low, block) => Math.min(low, pick(block)), Infinity);
    const most = (pick: (block: Block) => number): number => this.blocks.reduce((high, block) => Math.max(high, pick(block)), 0);
    const [firstSeq, lastSeq] = [least((b) => b.firstSeq), most((b) => b.lastSeq)];
    const [fromMs, toMs] = [Math.floor(least((b) => b.fromMs)), Math.ceil(most((b) => b.toMs))];
    const path = join(this.folder, `${firstSeq}-${lastSeq}-${fromMs}-${toMs}.seg`);
    renameSync(this.temporary, path);
    return { path, firstSeq, lastSeq, fromMs, toMs, bytes: this.offset };
  }

  abandon(): void {
    closeSync(this.fd);
    rmSync(this.temporary, { force: true });
  }

  private write(bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done);
    this.offset += bytes.length;
  }
}

function readAt(fd: number, offset: number, bytes: number): Buffer {
  const into = Buffer.allocUnsafe(bytes);
  for (let done = 0; done < bytes; ) {
    const read = readSync(fd, into, done, bytes - done, offset + done);
    if (read === 0) throw new Error('The segment is shorter than its index says.');
    done += read;
  }
  return into;
}

export type SegmentIndex = ReadonlyMap<string, readonly Block[]>;

/** Throws where the file is damaged. */
export function readIndex({ path, bytes }: Segment): SegmentIndex {
  const fd = openSync(path, 'r');
  try {
    const trailer = readAt(fd, bytes - TRAILER_BYTES, TRAILER_BYTES);
    if (!trailer.subarray(8).equals(TRAILER)) throw new Error('The segment has no end mark.');
    const length = trailer.readUInt32LE(0);
    const packed = readAt(fd, bytes - TRAILER_BYTES - length, length);
    if (crc32(packed) !== trailer.readUInt32LE(4)) throw new Error("The segment's index is damaged.");
    const byOwner = JSON.parse(unpack(packed, 'deflate')) as Record<string, BlockRow[]>;
    return new Map(
      Object.entries(byOwner).map(([owner, rows]) => [
        owner,
        rows.map(([offset, size, crc, codec, firstSeq, lastSeq, fromMs, toMs]) => ({
          ...{ owner, offset, bytes: size, crc, firstSeq, lastSeq, fromMs, toMs },
          codec: codec === 0 ? ('deflate' as const) : ('brotli' as const),
        })),
      ]),
    );
  } finally {
    closeSync(fd);
  }
}

/** The block's bytes as they lie in the file. Throws where they are damaged. */
export function readPacked(path: string, block: Block): Buffer {
  const fd = openSync(path, 'r');
  try {
    const packed = readAt(fd, block.offset, block.bytes);
    if (crc32(packed) !== block.crc) throw new Error('The block is damaged.');
    return packed;
  } finally {
    closeSync(fd);
  }
}

export const readBlock = (path: string, block: Block): string => unpack(readPacked(path, block), block.codec);
