import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { timeOf } from '../../core/ids.js';
import type { LogLine, LogQuery } from '../../core/logs/model.js';
import { redactLine } from '../../core/logs/redaction.js';
import { decodeRecords, type KeptLine, matches, mayMatch, ownerOf } from './records.js';
import { type Block, readBlock } from './segment.js';
import { type Retention, Segments } from './segments.js';
import { Tail } from './tail.js';

const MB = 1024 * 1024;

export interface LogStoreOptions extends Retention {
  /** The newest lines are sealed into a segment at this size … */
  sealChars?: number;
  /** … or at this age. */
  sealAfterMs?: number;
  /** A search gives what it has after this long, and a cursor. */
  searchMs?: number;
}

/** Lines beyond `seq` in the direction of the order. */
export type LogSearch = Omit<LogQuery, 'cursor'> & { beyondSeq?: number /** Up to this number, included. */; untilSeq?: number };
export interface LogHits {
  lines: KeptLine[];
  /** Go on beyond this one; absent at the end. */
  nextSeq?: number;
}

/** Where the tail may grow to while the disk takes no segment; beyond it the oldest lines are given up. */
const STUCK_CHARS = 32 * MB;
/** Outputs in the middle of a private key at once. */
const OPEN_KEYS = 1_000;
/** Wall clocks of gateway and slot may differ by so much. */
const SKEW_MS = 60_000;

/**
 * The lines of all functions on disk: appended to a tail, sealed into segments, searched by their order.
 * Lives in the log thread. Files are not fsynced: a power cut may cost the last seconds, a kill costs nothing that
 * had arrived here.
 */
export class LogStore {
  private readonly segments: Segments;
  private readonly sealChars: number;
  private readonly sealAfterMs: number;
  private readonly searchMs: number;
  /** Size at which sealing is tried (again). */
  private sealAt: number;
  private tail: Tail;
  private nextSeq: number;
  private readonly openKeys = new Set<string>();
  /** Why lines can't be written now; they stay searchable in memory. */
  fault: string | undefined;
  /** Given up because the disk took nothing. */
  lost = 0;

  constructor(folder: string, options: LogStoreOptions) {
    this.sealChars = options.sealChars ?? 4 * MB;
    this.sealAt = this.sealChars;
    this.sealAfterMs = options.sealAfterMs ?? 300_000;
    this.searchMs = options.searchMs ?? 1_500;
    this.segments = new Segments(folder, options);
    this.nextSeq = this.segments.lastSeq + 1;
    this.tail = this.recoverTails();
  }

  get lastSeq(): number {
    return this.nextSeq - 1;
  }

  get damaged(): number {
    return this.segments.damaged;
  }

  /** Redacts, numbers and keeps the lines; never throws. Answers them as they were kept. */
  append(lines: LogLine[]): KeptLine[] {
    if (lines.length === 0) return [];
    const kept = lines.map((line) => this.redacted(line));
    try {
      this.tail.append(kept);
      this.fault = undefined;
    } catch (error) {
      this.fault = describe(error);
    }
    if (this.tail.chars >= this.sealAt) this.seal();
    return kept;
  }

  async search(query: LogSearch): Promise<LogHits> {
    const order = query.order ?? 'asc';
    const filter = { ...query, fromMs: query.fromMs ?? sinceOf(query) };
    const end = performance.now() + this.searchMs;
    const lines: KeptLine[] = [];
    let position = query.beyondSeq ?? this.start(order, filter.fromMs);
    for (;;) {
      const part = this.partBeyond(ownerOf(query), position, order, filter);
      if (!part) return { lines };
      for (const line of part.lines) {
        if (query.untilSeq !== undefined && line.seq > query.untilSeq) return { lines };
        if (!matches(line, filter)) continue;
        if (lines.length === query.limit) return { lines, nextSeq: (lines.at(-1) as KeptLine).seq };
        lines.push(line);
      }
      position = part.end;
      if (performance.now() > end) return { lines, nextSeq: position };
      await turn();
    }
  }

  /** Seals and merges, archives and removes what is due. */
  async maintain(now: number): Promise<void> {
    if (this.tail.openedAtMs !== undefined && now - this.tail.openedAtMs >= this.sealAfterMs) this.seal();
    while (await this.segments.maintain(now));
  }

  close(): void {
    this.tail.close();
  }

  private redacted(line: LogLine): KeptLine {
    const output = `${line.requestId} ${line.functionId} ${line.stream}`;
    const wasOpen = this.openKeys.size > 0 && this.openKeys.has(output);
    const { text, inKey } = redactLine(line.message, wasOpen);
    if (inKey && !wasOpen && this.openKeys.size < OPEN_KEYS) this.openKeys.add(output);
    if (wasOpen && !inKey) this.openKeys.delete(output);
    const seq = this.nextSeq;
    this.nextSeq += 1;
    return { ...line, message: text, seq };
  }

  private seal(): void {
    try {
      const segment = this.tail.seal();
      if (segment) this.segments.addHot(segment);
      this.renewTail();
    } catch (error) {
      this.fault = describe(error);
      this.sealAt = this.tail.chars + this.sealChars;
      if (this.tail.chars < STUCK_CHARS) return;
      this.lost += this.tail.lineCount;
      this.renewTail();
    }
  }

  private renewTail(): void {
    this.tail.drop();
    this.tail = Tail.begin(this.segments.folder, this.nextSeq);
    this.sealAt = this.sealChars;
  }

  /** A killed process leaves one tail, or one more where it died while sealing. */
  private recoverTails(): Tail {
    const firsts = readdirSync(this.segments.folder)
      .flatMap((name) => /^(\d+)\.tail$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
    for (const firstSeq of firsts) {
      const tail = Tail.recover(this.segments.folder, firstSeq);
      const isSealed = tail.lineCount === 0 || tail.lastSeq < this.nextSeq;
      if (!isSealed) {
        this.nextSeq = tail.lastSeq + 1;
        const segment = tail.seal();
        if (segment) this.segments.addHot(segment);
      }
      tail.drop();
    }
    return Tail.begin(this.segments.folder, this.nextSeq);
  }

  /** Without a time asked for, the oldest hot line: the archive is searched only for who names its time. */
  private start(order: 'asc' | 'desc', fromMs: number | undefined): number {
    if (order === 'desc') return Number.POSITIVE_INFINITY;
    return fromMs === undefined ? Math.min(this.segments.hotSince, this.tail.firstSeq) - 1 : 0;
  }

  /** The nearest lines of the owner beyond `position`, at most a block of them. */
  private partBeyond(owner: string, position: number, order: 'asc' | 'desc', filter: Window): Part | undefined {
    const isBeyond = (line: KeptLine): boolean => (order === 'asc' ? line.seq > position : line.seq < position);
    const fromTail = (): Part | undefined => {
      const lines = this.tail.byOwner.get(owner)?.filter(isBeyond) ?? [];
      const edge = order === 'asc' ? this.lastSeq : this.tail.firstSeq;
      return lines.length > 0 ? { lines: order === 'asc' ? lines : lines.reverse(), end: edge } : undefined;
    };
    if (order === 'desc' && position > this.tail.firstSeq) {
      const part = fromTail();
      if (part) return part;
    }
    for (let at = position; ; ) {
      const segment = this.segments.beyond(at, order);
      if (!segment) return order === 'asc' ? fromTail() : undefined;
      const block = nearest(this.inWindow(segment, filter) ? (this.segments.index(segment).get(owner) ?? []) : [], at, order, filter);
      if (block) return this.partOf(segment.path, block, isBeyond, order, filter);
      at = order === 'asc' ? segment.lastSeq : segment.firstSeq;
    }
  }

  private inWindow(span: { fromMs: number; toMs: number }, window: Window): boolean {
    return span.toMs >= (window.fromMs ?? 0) && span.fromMs < (window.toMs ?? Number.POSITIVE_INFINITY);
  }

  private partOf(path: string, block: Block, isBeyond: (line: KeptLine) => boolean, order: 'asc' | 'desc', filter: Window): Part {
    const end = order === 'asc' ? block.lastSeq : block.firstSeq;
    try {
      const text = readBlock(path, block);
      const lines = mayMatch(text, filter) ? decodeRecords(text).filter(isBeyond) : [];
      return { lines: order === 'asc' ? lines : lines.reverse(), end };
    } catch {
      this.segments.damaged += 1;
      return { lines: [], end };
    }
  }
}

type Window = Pick<LogQuery, 'requestId' | 'fromMs' | 'toMs' | 'q'>;

interface Part {
  lines: KeptLine[];
  /** Nothing of the owner lies between the position before and here but these lines. */
  end: number;
}

function nearest(blocks: readonly Block[], position: number, order: 'asc' | 'desc', window: Window): Block | undefined {
  const fits = (block: Block): boolean => block.toMs >= (window.fromMs ?? 0) && block.fromMs < (window.toMs ?? Number.POSITIVE_INFINITY);
  return order === 'asc'
    ? blocks.find((block) => block.lastSeq > position && fits(block))
    : blocks.findLast((block) => block.firstSeq < position && fits(block));
}

/** A request's id tells when it was accepted: nothing of it was printed before. */
function sinceOf({ requestId }: LogSearch): number | undefined {
  const acceptedAt = requestId && /^req_[0-9a-z]{10,}$/.test(requestId) ? timeOf(requestId) : Number.NaN;
  return acceptedAt > SKEW_MS ? acceptedAt - SKEW_MS : undefined;
}

/** No path of ours in it: it is shown by /readyz. */
function describe(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  return code ? `Log files can't be written (${code}).` : "Log files can't be written.";
}

/** Where the logs lie in the data folder. */
export const logFolder = (dataDir: string): string => join(dataDir, 'logs');
