import type { Clock } from '../../core/clock.js';
import type { LogLine } from '../../core/logs/model.js';
import { FIELDS, type Packed, packLine, type ToLogThread } from './protocol.js';
import { ownerOf } from './records.js';

const FLUSH_AFTER_MS = 15;
const FLUSH_CHARS = 256 * 1024;
/** Handed to the thread and not yet kept: more is dropped and counted, so that memory stays bounded. */
export const IN_FLIGHT_CHARS = 16 * 1024 * 1024;
/** What a line takes beside its message. */
const LINE_CHARS = 100;
/** Functions whose dropped lines are counted one by one. */
const COUNTED_OWNERS = 1_000;

interface Dropped {
  last: LogLine;
  lines: number;
  chars: number;
}

/** The lines on their way to the log thread: one message per batch. */
export class Outbox {
  private batch: Packed = [];
  private batchChars = 0;
  private inFlightChars = 0;
  private inFlightLines = 0;
  private cancelFlush: (() => void) | undefined;
  private readonly droppedByOwner = new Map<string, Dropped>();
  dropped = 0;

  constructor(
    private readonly clock: Clock,
    private readonly send: (message: ToLogThread) => void,
  ) {}

  add(line: LogLine): void {
    const chars = line.message.length + LINE_CHARS;
    if (this.inFlightChars + this.batchChars + chars > IN_FLIGHT_CHARS) {
      this.drop(line, chars);
      return;
    }
    packLine(this.batch, line);
    this.batchChars += chars;
    if (this.batchChars >= FLUSH_CHARS) this.flush();
    else this.cancelFlush ??= this.clock.after(FLUSH_AFTER_MS, () => this.flush());
  }

  flush(): void {
    this.cancelFlush?.();
    this.cancelFlush = undefined;
    if (this.batch.length === 0) return;
    const [lines, chars] = [this.batch, this.batchChars];
    this.batch = [];
    this.batchChars = 0;
    this.inFlightChars += chars;
    this.inFlightLines += lines.length / FIELDS;
    this.send({ kind: 'append', lines, chars });
  }

  /** The thread has kept so much; told of what was dropped meanwhile once there is room for it. */
  kept(chars: number, lines: number): void {
    this.inFlightLines = Math.max(0, this.inFlightLines - lines);
    this.inFlightChars = Math.max(0, this.inFlightChars - chars);
    if (this.droppedByOwner.size > 0 && this.inFlightChars < IN_FLIGHT_CHARS / 2) this.tellDropped();
  }

  /** What was under way is lost with the thread. */
  threadEnded(): void {
    this.dropped += this.inFlightLines;
    this.inFlightLines = 0;
    this.inFlightChars = 0;
  }

  private drop(line: LogLine, chars: number): void {
    this.dropped += 1;
    const owner = ownerOf(line);
    const known = this.droppedByOwner.get(owner);
    if (known) {
      known.lines += 1;
      known.chars += chars;
    } else if (this.droppedByOwner.size < COUNTED_OWNERS) this.droppedByOwner.set(owner, { last: line, lines: 1, chars });
  }

  private tellDropped(): void {
    const all = [...this.droppedByOwner.values()];
    this.droppedByOwner.clear();
    for (const { last, lines, chars } of all) {
      const message = `${lines} lines (about ${chars} bytes) were dropped here: more was printed on this machine than could be stored.`;
      this.add({ ...last, requestId: '', stream: 'platform', message });
    }
  }
}
