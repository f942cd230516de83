import fc from 'fast-check';
import {
  type CallFields,
  decodeCall,
  encodeCalls,
  encodeFrame,
  Frame,
  FrameError,
  FrameReader,
  slotFrameLimit,
} from '../../../lib/slots/frames';

type Seen = { type: number; body: string };

function readAll(chunks: readonly Buffer[], limitOf: (type: number) => number = () => 1e9): Seen[] {
  const seen: Seen[] = [];
  const reader = new FrameReader(limitOf, (type, bytes, from, to) => seen.push({ type, body: bytes.toString('latin1', from, to) }));
  for (const chunk of chunks) {
    reader.push(chunk);
    // What was read is overwritten by the next read: nothing may point into it.
    chunk.fill(0xee);
  }
  return seen;
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    pieces.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  pieces.push(Buffer.from(bytes.subarray(at)));
  return pieces;
}

describe('frames', () => {
  const bodies = fc.array(fc.tuple(fc.integer({ min: 1, max: 255 }), fc.uint8Array({ maxLength: 300 })), { maxLength: 8 });

  it('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 0, max: 64 }), { maxLength: 40 }), (frames, sizes) => {
        const stream = Buffer.concat(frames.map(([type, body]) => encodeFrame(type, body)));
        expect(readAll(cut(stream, sizes))).toEqual(frames.map(([type, body]) => ({ type, body: Buffer.from(body).toString('latin1') })));
      }),
    );
  });

  it('of calls carry every field', () => {
    const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });
    const call: fc.Arbitrary<CallFields> = fc.record({
      id: fc.integer({ min: 1, max: 0xffffffff }),
      attempt: fc.integer({ min: 1, max: 0xffff }),
      streamed: fc.boolean(),
      requestId: ascii,
      triggerId: ascii,
      payload: fc.json(),
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 5 }), (calls) => {
        const seen: CallFields[] = [];
        const reader = new FrameReader(
          () => 1e9,
          (type, bytes, from, to) => {
            expect(type).toBe(Frame.CALL);
            seen.push(decodeCall(bytes, from, to));
          },
        );
        reader.push(encodeCalls(calls));
        expect(seen).toEqual(calls);
      }),
    );
  });

  it('over their limit, of unknown type, or without a length are refused before anything is kept', () => {
    const limitOf = slotFrameLimit(1000);
    const header = (length: number, type: number): Buffer => {
      const bytes = Buffer.alloc(5);
      bytes.writeUInt32LE(length);
      bytes[4] = type;
      return bytes;
    };
    for (const bad of [
      header(0xffffffff, Frame.RESULT),
      header(1006, Frame.RESULT),
      header(2, Frame.READY),
      header(1, 99),
      header(0, Frame.RESULT),
      header(5, Frame.CALL),
    ]) {
      expect(() => readAll([bad], limitOf)).toThrow(FrameError);
    }
    expect(readAll([Buffer.concat([header(1005, Frame.RESULT), Buffer.alloc(1004)])], limitOf)).toHaveLength(1);
  });

  it('of any bytes whatever end in frames or a refusal, never in anything else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }), (chunks) => {
        try {
          readAll(
            chunks.map((chunk) => Buffer.from(chunk)),
            slotFrameLimit(100),
          );
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });
});
