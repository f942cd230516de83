import type { Clock } from '../core/clock.js';
import { DEFAULTS } from '../core/defaults.js';
import type { ErrorInfo } from '../core/invocations/model.js';
import { Frame, FrameError, FrameReader, slotFrameLimit } from './frames.js';

/** What a slot's frames mean. Each may throw FrameError where the slot had no right to send it. */
export interface InboxListener {
  onLoaded(error: ErrorInfo | undefined, now: number): void;
  onResult(id: number, text: string, now: number): void;
  onError(id: number, error: ErrorInfo, isBroken: boolean, now: number): void;
  onHead(id: number, json: string): void;
  onData(id: number, bytes: Uint8Array): void;
  onReturned(ids: readonly number[], now: number): void;
  onLog(id: number, stream: number, bytes: Buffer, from: number, to: number): void;
  onDropped(id: number, bytes: number): void;
  onForged(what: string): void;
  /** We could not take in what was sent; it is treated as forged. */
  onFault(error: unknown): void;
  onRead(now: number): void;
}

const limitOf = slotFrameLimit(DEFAULTS.resultBytes);

/** Reads what a slot sends. The process belongs to the tenant: every byte may be forged. */
export class Inbox {
  private now = 0;
  private readonly reader = new FrameReader(limitOf, (type, bytes, from, to) => this.take(type, bytes, from, to));

  constructor(
    private readonly listener: InboxListener,
    private readonly clock: Clock,
  ) {}

  read(chunk: Buffer): void {
    this.now = this.clock.monotonicMs();
    try {
      this.reader.push(chunk);
    } catch (error) {
      // Whatever a tenant's bytes set off in us ends the slot they came from, never the process that reads them.
      if (!(error instanceof FrameError)) this.listener.onFault(error);
      this.listener.onForged(error instanceof FrameError ? error.message : 'What it sent could not be taken in.');
    }
    this.listener.onRead(this.now);
  }

  private take(type: number, bytes: Buffer, from: number, to: number): void {
    const { listener, now } = this;
    switch (type) {
      case Frame.RESULT:
        listener.onResult(idOf(bytes, from, to), bytes.toString('utf8', from + 4, to), now);
        return;
      case Frame.ERROR:
      case Frame.BROKEN:
        listener.onError(idOf(bytes, from, to), errorOf(bytes.toString('utf8', from + 4, to)), type === Frame.BROKEN, now);
        return;
      case Frame.LOG:
        listener.onLog(idOf(bytes, from, to, 5), bytes[from + 4]!, bytes, from + 5, to);
        return;
      case Frame.READY:
        listener.onLoaded(undefined, now);
        return;
      case Frame.INIT_FAILED:
        listener.onLoaded(errorOf(bytes.toString('utf8', from, to)), now);
        return;
      case Frame.HEAD:
        listener.onHead(idOf(bytes, from, to), jsonOf(bytes, from + 4, to));
        return;
      case Frame.DATA:
        // Copied: the chunk is reused.
        listener.onData(idOf(bytes, from, to), new Uint8Array(bytes.subarray(from + 4, to)));
        return;
      case Frame.DROPPED:
        listener.onDropped(idOf(bytes, from, to, 12), bytes.readDoubleLE(from + 4));
        return;
      default:
        listener.onReturned(idsOf(bytes, from, to), now);
    }
  }
}

function idOf(bytes: Buffer, from: number, to: number, atLeast = 4): number {
  if (to - from < atLeast) throw new FrameError('A frame was too short.');
  return bytes.readUInt32LE(from);
}

function jsonOf(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString('utf8', from, to);
  try {
    JSON.parse(text);
    return text;
  } catch {
    throw new FrameError('The head of its answer is no JSON.');
  }
}

function idsOf(bytes: Buffer, from: number, to: number): number[] {
  if ((to - from) % 4 !== 0) throw new FrameError('A list of calls was cut.');
  const ids: number[] = [];
  for (let at = from; at < to; at += 4) ids.push(bytes.readUInt32LE(at));
  return ids;
}

/** Parsed and cut to what an error may be: it is the tenant's word. */
export function errorOf(text: string): ErrorInfo {
  try {
    const { type, message, stack } = JSON.parse(text) as Partial<ErrorInfo>;
    const lines = Array.isArray(stack) ? stack.filter((line) => typeof line === 'string') : [];
    return {
      type: typeof type === 'string' && type !== '' ? type : 'Error',
      message: typeof message === 'string' ? message : '',
      stack: lines,
    };
  } catch {
    return { type: 'Error', message: 'The function failed with an error that cannot be read.', stack: [] };
  }
}
