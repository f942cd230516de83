import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mergeSegments } from './merge.js';
import { readIndex, type Segment, type SegmentIndex, segmentOf } from './segment.js';

const MB = 1024 * 1024;
/** Segments under this are merged with their neighbours. */
const SMALL_BYTES = 16 * MB;
const MERGED_BYTES = 64 * MB;
/** So many small ones together are merged before their hour is over. */
const MANY = 64;
const HOUR_MS = 3_600_000;
/** Indexes kept in memory; one is some ten to hundred KB. */
const INDEXES = 64;

export interface Retention {
  hotMs: number;
  archiveMs: number;
}

/**
 * The sealed segments of the data folder, hot and archived, in the order of their lines. A merge replaces
 * several by one between two steps of a reader, who goes by line numbers and so does not notice.
 */
export class Segments {
  private readonly hotFolder: string;
  private readonly archiveFolder: string;
  private hot: Segment[] = [];
  private archived: Segment[] = [];
  private readonly indexes = new Map<string, SegmentIndex>();
  /** Blocks and segments that could not be read: left out, counted. */
  damaged = 0;

  constructor(
    folder: string,
    private readonly retention: Retention,
  ) {
    this.hotFolder = join(folder, 'hot');
    this.archiveFolder = join(folder, 'archive');
    this.archived = this.load(this.archiveFolder);
    // What a killed process had archived and not yet removed is there twice: the archive counts.
    this.hot = this.load(this.hotFolder).filter((segment) => !this.removeIfWithin(segment, this.archived));
  }

  get folder(): string {
    return this.hotFolder;
  }

  get lastSeq(): number {
    return Math.max(0, this.hot.at(-1)?.lastSeq ?? 0, this.archived.at(-1)?.lastSeq ?? 0);
  }

  /** First number of the hot lines: older ones are in the archive. */
  get hotSince(): number {
    return this.hot[0]?.firstSeq ?? Number.POSITIVE_INFINITY;
  }

  addHot(segment: Segment): void {
    this.hot.push(segment);
  }

  /** The nearest segment with lines beyond `seq`. */
  beyond(seq: number, order: 'asc' | 'desc'): Segment | undefined {
    return order === 'asc'
      ? (this.archived.find(({ lastSeq }) => lastSeq > seq) ?? this.hot.find(({ lastSeq }) => lastSeq > seq))
      : (this.hot.findLast(({ firstSeq }) => firstSeq < seq) ?? this.archived.findLast(({ firstSeq }) => firstSeq < seq));
  }

  /** Empty for a segment that is damaged or gone. */
  index(segment: Segment): SegmentIndex {
    const known = this.indexes.get(segment.path);
    if (known) {
      this.indexes.delete(segment.path);
      this.indexes.set(segment.path, known);
      return known;
    }
    let index: SegmentIndex = new Map();
    try {
      index = readIndex(segment);
    } catch {
      this.damaged += 1;
    }
    this.indexes.set(segment.path, index);
    const oldest = this.indexes.keys().next();
    if (this.indexes.size > INDEXES && !oldest.done) this.indexes.delete(oldest.value);
    return index;
  }

  /** Removes what is too old, archives what is no longer hot, merges small neighbours. One piece of work a call; true: there is more. */
  async maintain(now: number): Promise<boolean> {
    for (const segment of this.archived.filter(({ toMs }) => toMs < now - this.retention.archiveMs)) this.remove(segment);
    const cold = this.hot.filter(({ toMs }) => toMs < now - this.retention.hotMs);
    const toArchive = upTo(cold.slice(0, firstGap(cold, this.hot)));
    if (toArchive.length > 0) {
      await this.replace(toArchive, 'archive');
      return true;
    }
    const small = smallNeighbours(this.hot, now);
    if (!small) return false;
    await this.replace(small, 'hot');
    return true;
  }

  private async replace(inputs: Segment[], to: 'hot' | 'archive'): Promise<void> {
    const { merged, damaged } = await mergeSegments(inputs, to === 'hot' ? this.hotFolder : this.archiveFolder, to);
    this.damaged += damaged;
    if (merged) {
      const target = to === 'hot' ? this.hot : this.archived;
      target.push(merged);
      target.sort((a, b) => a.firstSeq - b.firstSeq || b.lastSeq - a.lastSeq);
    }
    for (const input of inputs) if (input.path !== merged?.path) this.remove(input);
  }

  private remove(segment: Segment): void {
    const others = (list: Segment[]): Segment[] => list.filter((each) => each !== segment);
    this.hot = others(this.hot);
    this.archived = others(this.archived);
    this.indexes.delete(segment.path);
    rmSync(segment.path, { force: true });
  }

  private load(folder: string): Segment[] {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const names = readdirSync(folder);
    for (const name of names) if (name.endsWith('.tmp')) rmSync(join(folder, name), { force: true });
    const found = names.flatMap((name) => segmentOf(folder, name) ?? []).sort((a, b) => a.firstSeq - b.firstSeq || b.lastSeq - a.lastSeq);
    const kept: Segment[] = [];
    // A merge that was not finished leaves its inputs beside the whole.
    for (const segment of found) if (!this.removeIfWithin(segment, kept.slice(-1))) kept.push(segment);
    return kept;
  }

  private removeIfWithin(segment: Segment, wholes: Segment[]): boolean {
    const within = wholes.some((whole) => whole.firstSeq <= segment.firstSeq && segment.lastSeq <= whole.lastSeq);
    if (within) rmSync(segment.path, { force: true });
    return within;
  }
}

/** Only neighbours may be merged: what lies between two cold ones and is not cold (a clock that stepped) ends the run. */
function firstGap(some: Segment[], all: Segment[]): number {
  const at = some.findIndex((segment, place) => segment !== all[place]);
  if (at > 0) return at;
  if (at < 0) return some.length;
  const start = all.indexOf(some[0] as Segment);
  const gap = some.findIndex((segment, place) => segment !== all[start + place]);
  return gap < 0 ? some.length : gap;
}

function upTo(segments: Segment[]): Segment[] {
  let bytes = 0;
  return segments.filter((segment, place) => {
    bytes += segment.bytes;
    return place === 0 || bytes <= MERGED_BYTES;
  });
}

function smallNeighbours(hot: Segment[], now: number): Segment[] | undefined {
  const hourOf = ({ toMs }: Segment): number => Math.floor(toMs / HOUR_MS);
  let run: Segment[] = [];
  for (const segment of [...hot, undefined]) {
    const joins = segment && segment.bytes < SMALL_BYTES && (run.length === 0 || hourOf(segment) === hourOf(run[0] as Segment));
    if (segment && joins) {
      run.push(segment);
      if (run.length < MANY) continue;
    }
    const isPast = run.length > 0 && hourOf(run[0] as Segment) < Math.floor(now / HOUR_MS);
    if (run.length >= MANY || (isPast && run.length > 1)) return upTo(run);
    run = segment && !joins && segment.bytes < SMALL_BYTES ? [segment] : [];
  }
  return undefined;
}
