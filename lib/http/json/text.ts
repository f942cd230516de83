import { isAscii, isUtf8 } from 'node:buffer';
import { DEFAULTS } from '../../core/defaults.js';
import { type Envelope, sliceEnvelope } from './envelope.js';
import { faultIn } from './scan.js';

/** Undefined: not UTF-8 (RFC 3629: no surrogates, no overlong forms). A byte order mark stays and is refused as JSON. */
export function decodeUtf8(bytes: Buffer): string | undefined {
  // Ascii is the common case, and a string of one byte a sign is the faster one to scan.
  if (isAscii(bytes)) return bytes.toString('latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

/** One JSON value within DEFAULTS.jsonDepth levels. For what is larger than DEFAULTS.inlineJsonBytes, ask JsonThread. */
export const isJson = (text: string): boolean => faultIn(text, DEFAULTS.jsonDepth) === undefined;

/** An invoke body as it came from the wire. */
export function readEnvelope(body: Buffer): Envelope {
  const text = decodeUtf8(body);
  return text === undefined ? { kind: 'badJson', detail: 'The body is not valid UTF-8.' } : sliceEnvelope(text);
}
