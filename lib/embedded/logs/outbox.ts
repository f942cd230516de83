import type { Clock } from '../../core/clock.js';
import type { TenantId } from '../../core/ids.js';
import type { LogLine } from '../../core/logs/model.js';
import { FIELDS, type Packed, packLine, type ToLogThread } from './protocol.js';
import { ownerOf } from './records.js';

const FLUSH_AFTER_MS = 15;
const FLUSH_CHARS = 256 * 1024;
/** Handed to the thread and not yet kept: more is dropped and counted, so that memory stays bounded. */
export const IN_FLIGHT_CHARS = 32 * 1024 * 1024;
/** What a line takes beside its message. */
const LINE_CHARS = 100;
/** Functions whose dropped lines are counted one by one. */
const COUNTED_OWNERS = 1_000;

interface Dropped {
  last: LogLine;
  lines: number;
  chars: number;
}

/** A batch that was sent, and whose it is. */
interface Sent {
  chars: number;
  ofTenant: Map<TenantId, number>;
}

/**
 * The lines on their way to the log thread: one message per batch. A tenant may have as much under way as is left free
 * (dynamic thresholds: Choudhury and Hahne, 1998), so that one who prints without end costs the others no line.
 */
export class Outbox {
  private batch: Packed = [];
  private batchChars = 0;
  private batchOf = new Map<TenantId, number>();
  private readonly sent: Sent[] = [];
  private readonly ofTenant = new Map<TenantId, number>();
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
    const { tenantId } = line;
    const theirs = (this.ofTenant.get(tenantId) ?? 0) + chars;
    // What the platform says of a call is one line, and says what else is missing.
    const share = line.stream === 'platform' ? IN_FLIGHT_CHARS : IN_FLIGHT_CHARS - this.inFlightChars - this.batchChars;
    if (theirs > share) {
      this.drop(line, chars);
      return;
    }
    packLine(this.batch, line);
    this.batchChars += chars;
    this.ofTenant.set(tenantId, theirs);
    this.batchOf.set(tenantId, (this.batchOf.get(tenantId) ?? 0) + chars);
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
    this.sent.push({ chars, ofTenant: this.batchOf });
    this.batchOf = new Map();
    this.inFlightChars += chars;
    this.inFlightLines += lines.length / FIELDS;
    this.send({ kind: 'append', lines, chars });
  }

  /** The thread has kept so much; told of what was dropped meanwhile once there is room for it. */
  kept(chars: number, lines: number): void {
    this.inFlightLines = Math.max(0, this.inFlightLines - lines);
    this.inFlightChars = Math.max(0, this.inFlightChars - chars);
    for (let left = chars; left > 0 && this.sent.length > 0; ) left -= this.arrived(this.sent.shift() as Sent);
    if (this.droppedByOwner.size > 0 && this.inFlightChars < IN_FLIGHT_CHARS / 2) this.tellDropped();
  }

  /** What was under way is lost with the thread. */
  threadEnded(): void {
    this.dropped += this.inFlightLines;
    this.inFlightLines = 0;
    this.inFlightChars = 0;
    for (const sent of this.sent.splice(0)) this.arrived(sent);
  }

  private arrived({ chars, ofTenant }: Sent): number {
    for (const [tenantId, theirs] of ofTenant) {
      const left = (this.ofTenant.get(tenantId) ?? 0) - theirs;
      if (left > 0) this.ofTenant.set(tenantId, left);
      else this.ofTenant.delete(tenantId);
    }
    return chars;
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
