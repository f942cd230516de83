import { closeSync, fstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { meterLine } from '../core/metering/meter-line.js';
import type { MeterEntry } from '../core/metering/model.js';

const HOUR_MS = 3_600_000;
/** Written without being asked when this much waits, so that nothing grows where nobody completes. */
const BUFFER_CHARS = 256 * 1024;
/** Kept at most while the disk takes nothing; then lines are lost, and reconciliation names them. */
const KEPT_CHARS = 8 * 1024 * 1024;

/** Name of the file that holds the attempts which ended in the hour of `epochMs` (UTC), e.g. `2026-11-20T22.tsv`. */
export const meterFileName = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(0, 13)}.tsv`;

/**
 * The invoker's own count of what ran: one line an attempt (format: core/metering/meter-line.ts), appended to hourly
 * files that nobody else writes. The second witness of reconciliation.
 *
 * `flush` hands the lines to the kernel synchronously and is called just before the store's batch is sent: whatever the
 * ledger holds after kill -9, the meter holds too. (Lost power may cut its tail: the ledger is the durable one.)
 */
export class AttemptMeter {
  private lines = '';
  private hour = -1;
  private fd: number | undefined;
  /** Why the last write failed, while it does: shown by /readyz. */
  fault: Error | undefined;

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  add(entry: MeterEntry): void {
    const hour = Math.floor(entry.endedAt / HOUR_MS);
    if (hour !== this.hour) this.turn(hour);
    this.lines += meterLine(entry);
    if (this.lines.length > BUFFER_CHARS) this.flush();
  }

  flush(): void {
    if (this.lines === '') return;
    const bytes = Buffer.from(this.lines);
    let written = 0;
    try {
      this.fd ??= this.open();
      while (written < bytes.length) written += writeSync(this.fd, bytes, written);
      this.fault = undefined;
    } catch (error) {
      // A full disk must not fail the calls that ran: the rest is tried again with the next flush.
      this.fault = error as Error;
    }
    const rest = bytes.subarray(written);
    this.lines = rest.length === 0 || rest.length > KEPT_CHARS ? '' : rest.toString();
  }

  close(): void {
    this.flush();
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  /** A process killed in the middle of a write leaves half a line: ours must not be joined to it. An empty line is read as none. */
  private open(): number {
    const fd = openSync(join(this.folder, meterFileName(this.hour * HOUR_MS)), 'a', 0o600);
    if (fstatSync(fd).size > 0) writeSync(fd, '\n');
    return fd;
  }

  private turn(hour: number): void {
    this.close();
    this.hour = hour;
  }
}
