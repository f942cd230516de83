/**
 * The protocol between the invoker and a bootstrap over fd 3, the same for Node and Python.
 *
 * frame   = length (u32 little endian, of what follows) · type (u8) · body
 *
 * to the slot
 *   ASSIGN   JSON `Assignment`. The first frame, once. The slot loads the code and answers READY or INIT_FAILED.
 *   CALL     id (u32) · attempt (u16) · flags (u8, 1 = the answer may be streamed) · length of request id (u8) · request id
 *            · length of trigger id (u8) · trigger id · payload (the rest, JSON as UTF-8)
 *            Ids rise by one from 1. Calls start in the order of their ids, at most `perSlot` of the assignment at once;
 *            what comes beyond that waits inside the slot. The answer of one call must be handed to the kernel before the
 *            next call starts, so that a slot that dies is known to have died in the first call without an answer.
 *   RECALL   empty. The slot gives back every call that it has not started: RETURNED.
 *
 * to the invoker
 *   READY        empty
 *   INIT_FAILED  JSON `ErrorInfo`; the slot is ended by the invoker
 *   RESULT       id (u32) · JSON as UTF-8
 *   ERROR        id (u32) · JSON `ErrorInfo`
 *   HEAD         id (u32) · JSON `{statusCode, headers, cookies}` of a streamed answer, at most once, before its DATA
 *   DATA         id (u32) · bytes of a streamed answer; its RESULT (`null`) or ERROR ends it
 *   LOG          id (u32, 0 = outside any call) · stream (u8, 1 stdout, 2 stderr) · text (UTF-8, any number of lines; a line may
 *                go on in the next LOG of the same id and stream)
 *   DROPPED      id (u32) · bytes (f64): printed by this call beyond the cap and not sent
 *   RETURNED     ids (u32 each): not started, and forgotten by the slot
 *   BROKEN       id (u32) · JSON `ErrorInfo`: this call ends so, and the slot cannot go on (uncaught exception, exit)
 *
 * Anything else (an unknown type or id, a second answer, a frame over its limit) is forged: the slot is ended.
 */
export const Frame = {
  ASSIGN: 1,
  CALL: 2,
  RECALL: 3,
  READY: 17,
  INIT_FAILED: 18,
  RESULT: 19,
  ERROR: 20,
  HEAD: 21,
  DATA: 22,
  LOG: 23,
  DROPPED: 24,
  RETURNED: 25,
  BROKEN: 26,
} as const;

/** Body of ASSIGN. */
export interface Assignment {
  functionId: string;
  functionName: string;
  version: string;
  handler: string;
  memoryMb: number;
  timeoutSec: number;
  tenant: string;
  namespace: string;
  /** Folders as the slot sees them. */
  code: string;
  layers: string[];
  cache?: string;
  tmp?: string;
  /** The tenant's own variables. */
  env: Record<string, string>;
  perSlot: number;
  /** A RESULT or ERROR over this is refused by the bootstrap itself (Function.ResponseTooLarge). */
  resultBytes: number;
  /** Printed bytes sent for each call; the rest is counted (DROPPED). */
  logBytes: number;
}

/** Largest bodies, bytes, beyond the result itself. */
export const FRAME_LIMITS = { error: 256 * 1024, head: 64 * 1024, data: 1024 * 1024, log: 128 * 1024, returned: 4 * 256 } as const;

/** The peer broke the protocol: the slot is ended. */
export class FrameError extends Error {
  override name = 'FrameError';
}

const HEADER_BYTES = 5;

/** One whole frame. */
export function encodeFrame(type: number, body: string | Uint8Array): Buffer {
  const bodyBytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bodyBytes);
  writeHeader(frame, 0, type, bodyBytes);
  if (typeof body === 'string') frame.write(body, HEADER_BYTES);
  else frame.set(body, HEADER_BYTES);
  return frame;
}

export function writeHeader(target: Buffer, at: number, type: number, bodyBytes: number): number {
  target.writeUInt32LE(bodyBytes + 1, at);
  target[at + 4] = type;
  return at + HEADER_BYTES;
}

/** What a CALL frame carries. */
export interface CallFields {
  id: number;
  attempt: number;
  streamed: boolean;
  /** ASCII, at most 255 signs each: refused where it was parsed, cut here. */
  requestId: string;
  triggerId: string;
  payload: string;
}

const CALL_FIXED_BYTES = 4 + 2 + 1 + 1 + 1;

/** All CALL frames of one flush in one Buffer. */
export function encodeCalls(calls: readonly CallFields[]): Buffer {
  let total = 0;
  const payloadBytes: number[] = [];
  for (const call of calls) {
    const bytes = Buffer.byteLength(call.payload);
    payloadBytes.push(bytes);
    total += HEADER_BYTES + CALL_FIXED_BYTES + call.requestId.length + call.triggerId.length + bytes;
  }
  const out = Buffer.allocUnsafe(total);
  let at = 0;
  for (let n = 0; n < calls.length; n += 1) at = writeCall(out, at, calls[n]!, payloadBytes[n]!);
  return out;
}

function writeCall(out: Buffer, start: number, call: CallFields, payloadBytes: number): number {
  const { requestId, triggerId } = call;
  let at = writeHeader(out, start, Frame.CALL, CALL_FIXED_BYTES + requestId.length + triggerId.length + payloadBytes);
  out.writeUInt32LE(call.id, at);
  out.writeUInt16LE(Math.min(call.attempt, 0xffff), at + 4);
  out[at + 6] = call.streamed ? 1 : 0;
  out[at + 7] = requestId.length;
  at += 8;
  out.write(requestId, at, 'latin1');
  at += requestId.length;
  out[at] = triggerId.length;
  at += 1;
  if (triggerId) out.write(triggerId, at, 'latin1');
  at += triggerId.length;
  out.write(call.payload, at, payloadBytes, 'utf8');
  return at + payloadBytes;
}

export function decodeCall(bytes: Buffer, from: number, to: number): CallFields {
  const requestIdAt = from + 8;
  const triggerAt = requestIdAt + bytes[from + 7]! + 1;
  const payloadAt = triggerAt + bytes[triggerAt - 1]!;
  return {
    id: bytes.readUInt32LE(from),
    attempt: bytes.readUInt16LE(from + 4),
    streamed: bytes[from + 6] === 1,
    requestId: bytes.toString('latin1', requestIdAt, triggerAt - 1),
    triggerId: triggerAt === payloadAt ? '' : bytes.toString('latin1', triggerAt, payloadAt),
    payload: bytes.toString('utf8', payloadAt, to),
  };
}

/** Largest body by type, of what a slot may send. */
export function slotFrameLimit(resultBytes: number): (type: number) => number {
  const limits = new Map<number, number>([
    [Frame.READY, 0],
    [Frame.INIT_FAILED, FRAME_LIMITS.error],
    [Frame.RESULT, resultBytes + 4],
    [Frame.ERROR, FRAME_LIMITS.error],
    [Frame.HEAD, FRAME_LIMITS.head],
    [Frame.DATA, FRAME_LIMITS.data],
    [Frame.LOG, FRAME_LIMITS.log],
    [Frame.DROPPED, 12],
    [Frame.RETURNED, FRAME_LIMITS.returned],
    [Frame.BROKEN, FRAME_LIMITS.error],
  ]);
  return (type) => limits.get(type) ?? -1;
}

/** Cuts a byte stream into frames. A frame is handed over as a range of a Buffer: valid only during the call. */
export class FrameReader {
  /** A frame that spans chunks: copied once into a Buffer of its own size. */
  private open: Buffer | undefined;
  private filled = 0;
  /** Fewer bytes than a header, kept for the next chunk. */
  private rest: Buffer | undefined;

  constructor(
    private readonly limitOf: (type: number) => number,
    private readonly onFrame: (type: number, bytes: Buffer, from: number, to: number) => void,
  ) {}

  push(incoming: Buffer): void {
    let chunk = incoming;
    let at = 0;
    if (this.open) {
      at = this.fill(chunk);
      if (this.open) return;
    } else if (this.rest) {
      chunk = Buffer.concat([this.rest, chunk]);
      this.rest = undefined;
    }
    while (chunk.length - at >= HEADER_BYTES) {
      const bodyBytes = chunk.readUInt32LE(at) - 1;
      const type = chunk[at + 4]!;
      if (bodyBytes < 0 || bodyBytes > this.limitOf(type)) throw new FrameError(`A frame of type ${type} with ${bodyBytes} bytes.`);
      const end = at + HEADER_BYTES + bodyBytes;
      if (end > chunk.length) {
        this.open = Buffer.allocUnsafe(end - at);
        this.filled = chunk.copy(this.open, 0, at);
        return;
      }
      this.onFrame(type, chunk, at + HEADER_BYTES, end);
      at = end;
    }
    // Copied: the chunk's memory is reused by whoever read it.
    if (at < chunk.length) this.rest = Buffer.from(chunk.subarray(at));
  }

  private fill(chunk: Buffer): number {
    const open = this.open!;
    const copied = chunk.copy(open, this.filled);
    this.filled += copied;
    if (this.filled === open.length) {
      this.open = undefined;
      this.onFrame(open[4]!, open, HEADER_BYTES, open.length);
    }
    return copied;
  }
}
