import { readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { Clock } from '../core/clock.js';
import { DEFAULTS } from '../core/defaults.js';
import type { RequestId } from '../core/ids.js';
import type { LogLine, LogSink } from '../core/logs/model.js';
import type { SlotSpec } from '../core/scheduling/port.js';

/** What one call has printed so far. */
export class Printing {
  keptBytes = 0;
  droppedBytes = 0;
  /** Lines without an end yet, by stream. */
  readonly partial = { stdout: '', stderr: '' };
  constructor(readonly requestId: RequestId | '') {}
}

export type OutputStream = 'stdout' | 'stderr';

const MB = 1024 * 1024;
const TAIL_CHARS = 2048;
/** Read into and used up at once: one for all slots. */
const piece = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Makes log lines of what a slot prints: frames that the bootstrap tagged with their call, and the raw descriptors 1 and 2.
 * Nothing waits here but one unfinished line a call and stream; what is over the cap of a call is counted and dropped.
 */
export class SlotOutput {
  /** Lines of no call: printed at load. */
  private readonly outside = new Printing('');
  private readonly decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  /** The raw descriptors were written to once: from then on they are drained after every call. */
  isRaw = false;
  /** The end of raw stderr: V8 says there why it gave up. */
  tail = '';

  constructor(
    private readonly spec: Pick<SlotSpec, 'tenantId' | 'functionId' | 'version'>,
    private readonly sink: LogSink,
    private readonly clock: Clock,
  ) {}

  /** @param printing undefined: outside any call. */
  tagged(printing: Printing | undefined, stream: OutputStream, bytes: Buffer, from: number, to: number): void {
    this.take(printing ?? this.outside, stream, to - from, () => bytes.toString('utf8', from, to));
  }

  raw(printing: Printing | undefined, stream: OutputStream, bytes: Buffer): void {
    this.isRaw = true;
    const text = this.decoders[stream].write(bytes);
    if (stream === 'stderr') this.tail = (this.tail + text).slice(-TAIL_CHARS);
    this.take(printing ?? this.outside, stream, bytes.length, () => text);
  }

  /** The call has ended: unfinished lines are lines, and what was dropped is told. */
  end(printing: Printing): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (printing.partial[stream] !== '') this.line(printing, stream, printing.partial[stream]);
      printing.partial[stream] = '';
    }
    if (printing.droppedBytes > 0) {
      const limit = `${DEFAULTS.logBytesPerInvocation / MB} MB an invocation`;
      this.line(printing, 'platform', `${printing.droppedBytes} bytes printed beyond the limit of ${limit} were dropped.`);
    }
    printing.droppedBytes = 0;
  }

  /** Lines that belong to no call end with the load, with each call, and with the slot. */
  endOutside(): void {
    if (this.outside.keptBytes === 0 && this.outside.droppedBytes === 0) return;
    this.end(this.outside);
    this.outside.keptBytes = 0;
  }

  /** Reads what is in the pipe of a raw descriptor now, so that it is kept with the call that ends. */
  drain(printing: () => Printing | undefined, stream: OutputStream, from: Readable): void {
    const fd = (from as { _handle?: { fd?: number } })._handle?.fd;
    if (fd === undefined || fd < 0) return;
    // Bounded: a process that writes without end must not keep the invoker here.
    for (let round = 0; round < 8; round += 1) {
      const bytes = readNow(fd, piece);
      if (bytes === 0) return;
      this.raw(printing(), stream, piece.subarray(0, bytes));
    }
  }

  private take(printing: Printing, stream: OutputStream, bytes: number, text: () => string): void {
    if (printing.keptBytes + bytes > DEFAULTS.logBytesPerInvocation) {
      printing.droppedBytes += bytes;
      return;
    }
    printing.keptBytes += bytes;
    const lines = (printing.partial[stream] + text()).split('\n');
    let rest = lines.pop()!;
    for (const line of lines) this.line(printing, stream, line.endsWith('\r') ? line.slice(0, -1) : line);
    if (rest.length >= DEFAULTS.logLineBytes) {
      this.line(printing, stream, rest);
      rest = '';
    }
    printing.partial[stream] = rest;
  }

  private line(printing: Printing, stream: LogLine['stream'], message: string): void {
    const { tenantId, functionId, version } = this.spec;
    const { requestId } = printing;
    const timeMs = this.clock.now();
    for (let from = 0; from === 0 || from < message.length; from += DEFAULTS.logLineBytes) {
      const piece = message.length <= DEFAULTS.logLineBytes ? message : message.slice(from, from + DEFAULTS.logLineBytes);
      this.sink.append({ tenantId, functionId, version, requestId, timeMs, stream, message: piece });
    }
  }
}

/** Bytes that can be read without waiting; 0 at the end, or where there are none. */
function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch {
    return 0;
  }
}
