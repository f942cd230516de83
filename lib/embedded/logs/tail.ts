import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { frame, readFrames } from './frames.js';
import { decodeRecords, encodeRecord, type KeptLine, ownerOf } from './records.js';
import { pack, type Segment, SegmentWriter } from './segment.js';

/** A block holds about this much text of one function. */
export const BLOCK_CHARS = 256 * 1024;

/**
 * The newest lines: in memory for searching, and in a file that takes every batch as it comes, so that a killed
 * process loses only what it had not handed over. Sealed into a segment when it is large or old enough.
 */
export class Tail {
  readonly byOwner = new Map<string, KeptLine[]>();
  chars = 0;
  lineCount = 0;
  /** Of the lines held: the file lacks those that the disk did not take. */
  lastSeq: number;
  openedAtMs: number | undefined;
  private fd: number | undefined;
  private fileBytes = 0;

  private constructor(
    private readonly folder: string,
    readonly firstSeq: number,
  ) {
    this.lastSeq = firstSeq - 1;
  }

  private get path(): string {
    return join(this.folder, `${this.firstSeq}.tail`);
  }

  static begin(folder: string, firstSeq: number): Tail {
    return new Tail(folder, firstSeq);
  }

  /** What a killed process left; its torn end is cut off. */
  static recover(folder: string, firstSeq: number): Tail {
    const tail = new Tail(folder, firstSeq);
    const file = readFileSync(tail.path);
    const { texts, goodBytes } = readFrames(file);
    if (goodBytes < file.length) truncateSync(tail.path, goodBytes);
    for (const text of texts) tail.hold(decodeRecords(text), text.length);
    return tail;
  }

  /** Searchable at once; throws where the file could not take them. */
  append(lines: KeptLine[]): void {
    const text = lines.map(encodeRecord).join('');
    this.hold(lines, text.length);
    this.fd ??= openSync(this.path, 'a', 0o600);
    const bytes = frame(text);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.fd, bytes, done);
      this.fileBytes += bytes.length;
    } catch (error) {
      // Half a frame in the middle would hide all that comes after it from the next start.
      ftruncateSync(this.fd, this.fileBytes);
      throw error;
    }
  }

  /** Its lines as a segment; undefined when there are none. The caller drops the tail when the segment stands. */
  seal(): Segment | undefined {
    if (this.lineCount === 0) return undefined;
    const writer = new SegmentWriter(this.folder);
    try {
      for (const [owner, lines] of this.byOwner) {
        for (const chunk of chunks(lines)) {
          const text = chunk.map(encodeRecord).join('');
          writer.add(pack(text, 'deflate'), { owner, codec: 'deflate', ...spanOf(chunk) });
        }
      }
      return writer.finish();
    } catch (error) {
      writer.abandon();
      throw error;
    }
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  drop(): void {
    this.close();
    rmSync(this.path, { force: true });
  }

  private hold(lines: KeptLine[], chars: number): void {
    for (const line of lines) {
      const owner = ownerOf(line);
      const held = this.byOwner.get(owner);
      if (held) held.push(line);
      else this.byOwner.set(owner, [line]);
    }
    this.openedAtMs ??= lines[0]?.timeMs;
    this.lastSeq = lines.at(-1)?.seq ?? this.lastSeq;
    this.lineCount += lines.length;
    this.chars += chars;
  }
}

function* chunks(lines: KeptLine[]): Generator<KeptLine[]> {
  let chunk: KeptLine[] = [];
  let chars = 0;
  for (const line of lines) {
    chunk.push(line);
    chars += line.message.length + 100;
    if (chars < BLOCK_CHARS) continue;
    yield chunk;
    chunk = [];
    chars = 0;
  }
  if (chunk.length > 0) yield chunk;
}

const spanOf = (lines: KeptLine[]) => ({
  firstSeq: (lines[0] as KeptLine).seq,
  lastSeq: (lines.at(-1) as KeptLine).seq,
  // The clock may have stepped back between two lines.
  fromMs: lines.reduce((low, { timeMs }) => Math.min(low, timeMs), Infinity),
  toMs: lines.reduce((high, { timeMs }) => Math.max(high, timeMs), 0),
});
