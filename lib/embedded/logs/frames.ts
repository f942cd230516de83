/** Frames of an append-only file: a magic number, the length, a checksum, then the bytes. A torn end is recognised. */

const MAGIC = 0x464e4c31; // FNL1
const HEAD_BYTES = 12;
/** More than this in one frame is damage, not a length. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** CRC-32 (ISO 3309); zlib.crc32 came to Node only with 20.15. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at += 1) crc = (TABLE[(crc ^ (bytes[at] as number)) & 255] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

export function frame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const whole = Buffer.allocUnsafe(HEAD_BYTES + length);
  whole.write(text, HEAD_BYTES);
  whole.writeUInt32LE(MAGIC, 0);
  whole.writeUInt32LE(length, 4);
  whole.writeUInt32LE(crc32(whole.subarray(HEAD_BYTES)), 8);
  return whole;
}

/** The texts of all whole frames, and where the last of them ends: what follows is torn. */
export function readFrames(file: Buffer): { texts: string[]; goodBytes: number } {
  const texts: string[] = [];
  let at = 0;
  while (at + HEAD_BYTES <= file.length) {
    const length = file.readUInt32LE(at + 4);
    const end = at + HEAD_BYTES + length;
    if (file.readUInt32LE(at) !== MAGIC || length > MAX_FRAME_BYTES || end > file.length) break;
    const body = file.subarray(at + HEAD_BYTES, end);
    if (crc32(body) !== file.readUInt32LE(at + 8)) break;
    texts.push(body.toString('utf8'));
    at = end;
  }
  return { texts, goodBytes: at };
}
