import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Frame, FrameReader, writeHeader } from '../../lib/slots/frames.js';

const FD = 3;
/** In flight at most before the writer waits for the invoker: what a flood of output may cost in memory. */
const HELD_BYTES = 256 * 1024;
const RETRY_MS = 1;
const START_BYTES = 64 * 1024;
/** A larger buffer was grown for one answer and is given back. */
const KEPT_BYTES = 1024 * 1024;
const FRAME_BYTES_MAX = 512 * 1024 * 1024;

// Taken before tenant code can replace them (fake timers, patched globals).
const later = setTimeout;
const soon = setImmediate;
const pause = Atomics.wait;
/** Nobody wakes it: waiting on it is a pause. */
const never = new Int32Array(new SharedArrayBuffer(4));
/** Ends the process without exit listeners, whatever tenant code makes of `process`. */
export const leave: (code: number) => never = process.reallyExit.bind(process);

/**
 * The slot's end of fd 3. Writes go straight to the descriptor: an answer is with the kernel before the next call starts.
 * Where the invoker reads slowly the rest is kept here and tried again.
 */
export class Channel {
  private out = Buffer.allocUnsafeSlow(START_BYTES);
  private start = 0;
  private end = 0;
  private retrying = false;
  private scheduled = false;
  private drained: (() => void)[] = [];

  /** @param onFrame a range of a Buffer that is valid during the call only. `onEnd`: the invoker is gone. */
  constructor(onFrame: (type: number, bytes: Buffer, from: number, to: number) => void, onChunk: () => void, onEnd: () => void) {
    const reader = new FrameReader(() => FRAME_BYTES_MAX, onFrame);
    const socket = new Socket({ fd: FD, readable: true, writable: false });
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      onChunk();
    });
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    socket.on('error', onEnd);
  }

  /** Appends a frame with an id; `flush` or `flushSoon` sends it. */
  put(type: number, id: number, text: string, textBytes = Buffer.byteLength(text)): void {
    this.reserve(9 + textBytes);
    writeHeader(this.out, this.end, type, textBytes + 4);
    this.out.writeUInt32LE(id, this.end + 5);
    this.out.write(text, this.end + 9, textBytes, 'utf8');
    this.end += 9 + textBytes;
  }

  /** The same with bytes, `lead` (0…255) before them where it is given. */
  putBytes(type: number, id: number, bytes: Uint8Array, lead?: number): void {
    const leadBytes = lead === undefined ? 0 : 1;
    this.reserve(9 + leadBytes + bytes.length);
    writeHeader(this.out, this.end, type, bytes.length + leadBytes + 4);
    this.out.writeUInt32LE(id, this.end + 5);
    if (lead !== undefined) this.out[this.end + 9] = lead;
    this.out.set(bytes, this.end + 9 + leadBytes);
    this.end += 9 + leadBytes + bytes.length;
  }

  /** A whole frame, sent before anything else happens. */
  send(frame: Uint8Array): void {
    this.reserve(frame.length);
    this.out.set(frame, this.end);
    this.end += frame.length;
    this.flushBlocking(0);
  }

  ready(): void {
    this.reserve(5);
    this.end = writeHeader(this.out, this.end, Frame.READY, 0);
    this.flush();
  }

  returned(ids: readonly number[]): void {
    this.reserve(5 + ids.length * 4);
    this.end = writeHeader(this.out, this.end, Frame.RETURNED, ids.length * 4);
    for (const id of ids) this.end = this.out.writeUInt32LE(id, this.end);
    this.flush();
  }

  /** Hands to the kernel what it takes; the rest follows by itself. */
  flush(): void {
    if (this.retrying || this.start === this.end) return;
    if (this.write()) this.onDrained();
    else this.retryLater();
  }

  /** One flush for everything that is put in this turn of the event loop. */
  flushSoon(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    soon(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  /** Waits, blocking, until no more than `held` bytes are kept: a flood of output is slowed down like a blocking pipe. */
  flushBlocking(held = HELD_BYTES): void {
    while (this.end - this.start > held && !this.write()) pause(never, 0, 0, RETRY_MS);
  }

  get heldBytes(): number {
    return this.end - this.start;
  }

  /** Calls back when everything that was put is with the kernel. */
  whenDrained(run: () => void): void {
    this.drained.push(run);
    this.flush();
  }

  private write(): boolean {
    while (this.start < this.end) {
      try {
        this.start += writeSync(FD, this.out, this.start, this.end - this.start);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
        // The invoker is gone, or tenant code closed the descriptor: nobody will ever hear of this process again.
        leave(70);
      }
    }
    this.start = 0;
    this.end = 0;
    if (this.out.length > KEPT_BYTES) this.out = Buffer.allocUnsafeSlow(START_BYTES);
    return true;
  }

  private retryLater(): void {
    this.retrying = true;
    later(() => {
      this.retrying = false;
      this.flush();
    }, RETRY_MS);
  }

  private onDrained(): void {
    if (this.drained.length === 0) return;
    const waiting = this.drained;
    this.drained = [];
    for (const run of waiting) run();
  }

  private reserve(bytes: number): void {
    if (this.end + bytes <= this.out.length) return;
    const held = this.end - this.start;
    const size = Math.max(START_BYTES, 2 ** Math.ceil(Math.log2(held + bytes)));
    const target = size <= this.out.length ? this.out : Buffer.allocUnsafeSlow(size);
    this.out.copy(target, 0, this.start, this.end);
    this.out = target;
    this.start = 0;
    this.end = held;
  }
}

declare global {
  namespace NodeJS {
    interface Process {
      /** Node's own way out, without exit listeners. */
      reallyExit(code?: number): never;
    }
  }
}
