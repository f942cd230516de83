import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseMeterLines } from '../../core/metering/meter-line.js';
import type { MeterEntry } from '../../core/metering/model.js';
import { HOUR_MS, hourOf } from '../../core/metering/month.js';
import type { MeterReader } from '../../core/metering/port.js';
import { keyText } from '../../core/metering/reconciliation.js';

/** Parsed at a time: about 600 lines, under a millisecond of the event loop. */
const CHUNK_BYTES = 64 * 1024;
/** Lines stand in the order of their ends but for steps of the clock: reading goes on this far past the window. */
const DISORDER_MS = 60_000;

/** The hourly files that lib/slots/meter.ts writes, `2026-11-20T22.tsv`. */
export class MeterFiles implements MeterReader {
  /** Where the first entry that ends at or after an instant stands: the next window begins there and not at the start of the file. */
  private readonly marks = new Map<number, { endMs: number; offset: number }>();

  constructor(private readonly folder: string) {}

  async *read(window: { fromMs: number; toMs: number }): AsyncGenerator<MeterEntry[]> {
    for (const hour of await this.hours(window.fromMs, window.toMs)) {
      const mark = this.marks.get(hour);
      let next: number | undefined;
      let offset = mark && mark.endMs <= window.fromMs ? mark.offset : 0;
      for await (const chunk of this.chunks(hour, offset)) {
        const entries = parseMeterLines(chunk.text);
        const within = entries.filter((entry) => entry.endedAt >= window.fromMs && entry.endedAt < window.toMs);
        if (within.length > 0) yield within;
        if (next === undefined && entries.some((entry) => entry.endedAt >= window.toMs)) next = chunk.offset;
        offset = chunk.offset + chunk.bytes;
        if (entries.length > 0 && entries.every((entry) => entry.endedAt >= window.toMs + DISORDER_MS)) break;
      }
      this.marks.set(hour, { endMs: window.toMs, offset: next ?? offset });
    }
  }

  async find(keys: ReadonlySet<string>, window: { fromMs: number; toMs: number }): Promise<MeterEntry[]> {
    const found: MeterEntry[] = [];
    for (const hour of await this.hours(window.fromMs, window.toMs)) {
      for await (const { text } of this.chunks(hour, 0)) {
        for (const entry of parseMeterLines(text)) if (keys.has(keyText(entry))) found.push(entry);
      }
      if (found.length >= keys.size) break;
    }
    return found;
  }

  async hasHour(hour: number): Promise<boolean> {
    const file = await stat(this.path(hour)).catch(() => undefined);
    return file !== undefined && file.size > 0;
  }

  async lastEndBefore(at: number): Promise<number | undefined> {
    const hours = (await this.hours(0, at)).reverse();
    for (const hour of hours) {
      let last: number | undefined;
      for await (const { text } of this.chunks(hour, 0)) {
        for (const entry of parseMeterLines(text)) if (entry.endedAt < at) last = Math.max(last ?? 0, entry.endedAt);
      }
      if (last !== undefined) return last;
    }
    return undefined;
  }

  async oldest(): Promise<number | undefined> {
    const [hour] = await this.hours(0, Number.MAX_SAFE_INTEGER);
    return hour === undefined ? undefined : hour * HOUR_MS;
  }

  async prune(at: number): Promise<void> {
    for (const hour of await this.hours(0, at)) {
      if ((hour + 1) * HOUR_MS > at) continue;
      await rm(this.path(hour), { force: true });
      this.marks.delete(hour);
    }
  }

  /** Hours with a file that overlap the window, in order. */
  private async hours(fromMs: number, toMs: number): Promise<number[]> {
    const names = await readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [] as string[];
      throw error;
    });
    return names
      .flatMap((name) => (/^\d{4}-\d{2}-\d{2}T\d{2}\.tsv$/.test(name) ? [hourOf(Date.parse(`${name.slice(0, 13)}:00:00Z`))] : []))
      .filter((hour) => hour >= hourOf(fromMs) && hour * HOUR_MS < toMs)
      .sort((a, b) => a - b);
  }

  /** Whole lines from `offset` on; what follows the last line feed is not finished and comes with a later reading. */
  private async *chunks(hour: number, offset: number): AsyncGenerator<{ text: string; offset: number; bytes: number }> {
    const file = await open(this.path(hour)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (!file) return;
    try {
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (let at = offset; ; ) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, at);
        const bytes = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1;
        if (bytes === 0 && bytesRead < CHUNK_BYTES) return;
        if (bytes > 0) yield { text: buffer.toString('latin1', 0, bytes), offset: at, bytes };
        // A whole chunk without a line is what a power cut left of a file (zeros): lines may follow it.
        at += bytes || bytesRead;
      }
    } finally {
      await file.close();
    }
  }

  private path(hour: number): string {
    return join(this.folder, `${new Date(hour * HOUR_MS).toISOString().slice(0, 13)}.tsv`);
  }
}
