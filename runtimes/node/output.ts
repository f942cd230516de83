import { AsyncLocalStorage } from 'node:async_hooks';
import { Writable } from 'node:stream';
import { Frame } from '../../lib/slots/frames.js';
import type { Channel } from './channel.js';

/** What a call has printed, in bytes. */
export interface Printed {
  id: number;
  printedBytes: number;
  droppedBytes: number;
}

const PIECE_BYTES = 64 * 1024;

/** The call whose code is running, across awaits and timers. */
export const currentCall = new AsyncLocalStorage<Printed>();

/** Sends what the function prints through `console` and `process.stdout`, tagged with the call that printed it. */
export class Output {
  /** Printed outside any call: at load, or by code that a call left behind. */
  private readonly outside: Printed = { id: 0, printedBytes: 0, droppedBytes: 0 };
  logBytes = Number.POSITIVE_INFINITY;

  constructor(private readonly channel: Channel) {}

  /** Replaces `process.stdout` and `process.stderr`, and so where `console` writes. */
  install(): void {
    for (const [name, stream] of [
      ['stdout', 1],
      ['stderr', 2],
    ] as const) {
      const target = this.writable(stream);
      Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => target });
    }
  }

  write(stream: 1 | 2, chunk: string | Uint8Array, encoding?: BufferEncoding): void {
    const call = currentCall.getStore() ?? this.outside;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    const room = this.logBytes - call.printedBytes;
    if (room <= 0) {
      call.droppedBytes += bytes.length;
      return;
    }
    const kept = bytes.length > room ? bytes.subarray(0, room) : bytes;
    call.droppedBytes += bytes.length - kept.length;
    call.printedBytes += kept.length;
    for (let from = 0; from < kept.length; ) {
      const to = boundary(kept, Math.min(from + PIECE_BYTES, kept.length));
      this.channel.putBytes(Frame.LOG, call.id, kept.subarray(from, to), stream);
      from = to;
    }
    this.channel.flushBlocking();
    this.channel.flushSoon();
  }

  /** Called before the answer of `call` is put. */
  end(call: Printed): void {
    for (const printed of [call, this.outside]) {
      if (printed.droppedBytes === 0) continue;
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(printed.droppedBytes);
      this.channel.putBytes(Frame.DROPPED, printed.id, bytes);
    }
    if (this.outside.printedBytes > 0) {
      this.outside.printedBytes = 0;
      this.outside.droppedBytes = 0;
    }
  }

  private writable(stream: 1 | 2): Writable {
    const target = new Writable({ decodeStrings: false });
    // Straight to the channel: the machinery of Writable would cost more than the line.
    const write = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
      this.write(stream, chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : undefined);
      const done = typeof encoding === 'function' ? encoding : callback;
      if (typeof done === 'function') process.nextTick(done as () => void);
      return true;
    };
    target._write = (chunk, encoding, done) => {
      this.write(stream, chunk, encoding);
      done();
    };
    return Object.assign(target, { write, fd: stream });
  }
}

/** The last place at or before `to` that splits no UTF-8 sign. */
function boundary(bytes: Uint8Array, to: number): number {
  if (to === bytes.length) return to;
  let at = to;
  while (at > to - 4 && (bytes[at]! & 0xc0) === 0x80) at -= 1;
  return at;
}
