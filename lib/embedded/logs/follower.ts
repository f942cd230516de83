import type { LogFollow, LogLine } from '../../core/logs/model.js';
import { matches } from './records.js';

/** New lines that one follower has not read yet; more are left out and counted. */
const HELD_LINES = 5_000;
const HELD_CHARS = 4 * 1024 * 1024;

/** The lines on their way to one reader: bounded, so that a slow one costs no memory. */
export class Follower {
  private held: LogLine[] = [];
  private chars = 0;
  private missed = 0;
  private wake: (() => void) | undefined;
  private ended = false;

  constructor(
    private readonly query: LogFollow,
    private readonly signal: AbortSignal,
  ) {
    signal.addEventListener('abort', () => this.wake?.(), { once: true });
  }

  /** The platform stops. */
  end(): void {
    this.ended = true;
    this.wake?.();
  }

  offer(lines: readonly LogLine[]): void {
    for (const line of lines) {
      if (!matches(line, this.query)) continue;
      if (this.held.length >= HELD_LINES || this.chars >= HELD_CHARS) {
        this.missed += 1;
        continue;
      }
      this.held.push(line);
      this.chars += line.message.length;
    }
    if (this.held.length > 0) this.wake?.();
  }

  /** Waits for lines; empty when the reader has gone or the platform stops. */
  async take(): Promise<LogLine[]> {
    while (this.held.length === 0 && !this.signal.aborted && !this.ended) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    if (this.signal.aborted || this.held.length === 0) return [];
    const taken = this.held;
    if (this.missed > 0) taken.push(missedLine(this.query, taken.at(-1) as LogLine, this.missed));
    [this.held, this.chars, this.missed] = [[], 0, 0];
    return taken;
  }
}

const missedLine = ({ tenantId, functionId }: LogFollow, after: LogLine, count: number): LogLine => ({
  tenantId,
  functionId,
  version: after.version,
  requestId: '',
  timeMs: after.timeMs,
  stream: 'platform',
  message: `${count} lines are left out here: this reader is slower than the function prints. They can be searched.`,
});
