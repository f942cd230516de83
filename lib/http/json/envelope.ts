import { DEFAULTS } from '../../core/defaults.js';
import { PRIORITIES, type Priority } from '../../core/functions/model.js';
import type { FieldFault } from '../../core/refusal.js';
import { endOfText, endOfValue, faultIn, faultOf, skipSpace } from './scan.js';

/** An invoke body taken apart. `payload` is the very slice of the source, `null` where the caller gave none. */
export type Envelope =
  | { kind: 'ok'; payload: string; qualifier?: string; priority?: Priority }
  /** 400: not JSON. `detail` is one sentence. */
  | { kind: 'badJson'; detail: string }
  /** 422: JSON, but not an invoke body. */
  | { kind: 'invalid'; errors: FieldFault[] };

export const QUALIFIER = /^[a-zA-Z0-9$_-]{1,128}$/;
const QUALIFIER_ALLOWED = '$LATEST, a version number or an alias';
const FIELDS = 'payload, qualifier, priority';
/** Faults named in one answer at most: the rest says nothing new. */
const MAX_FAULTS = 20;

/** Source text of each member; undefined where it is absent. */
interface Members {
  payload?: string;
  qualifier?: string;
  priority?: string;
  faults: FieldFault[];
}

/** Takes `{"payload":…, "qualifier"?, "priority"?}` apart: strict, in one pass, equal to `invokeBody` (schema.ts). */
export function sliceEnvelope(body: string): Envelope {
  if (body.length === 0) return { kind: 'ok', payload: 'null' };
  const start = skipSpace(body, 0);
  if (body.charCodeAt(start) !== 123) return notAnObject(body);
  const members: Members = { faults: [] };
  const end = readMembers(body, start + 1, members);
  // The envelope is a level of its own, so that whatever is allowed as a result is allowed as a payload.
  if (end < 0) return { kind: 'badJson', detail: `The body is not valid JSON: ${faultOf(body, end, DEFAULTS.jsonDepth)}.` };
  const after = skipSpace(body, end);
  if (after !== body.length) return { kind: 'badJson', detail: `The body is not valid JSON: ${faultOf(body, -1 - after, 0)}.` };
  return checked(members);
}

function notAnObject(body: string): Envelope {
  const fault = faultIn(body, DEFAULTS.jsonDepth);
  if (fault) return { kind: 'badJson', detail: `The body is not valid JSON: ${fault}.` };
  return { kind: 'invalid', errors: [{ field: 'body', message: 'must be a JSON object', allowed: FIELDS }] };
}

/** @param start after the opening brace. Answers the index after the closing one, or a negative number. */
function readMembers(body: string, start: number, members: Members): number {
  let at = skipSpace(body, start);
  if (body.charCodeAt(at) === 125) return at + 1;
  for (;;) {
    if (body.charCodeAt(at) !== 34) return -1 - at;
    const nameEnd = endOfText(body, at + 1);
    if (nameEnd < 0) return nameEnd;
    const colon = skipSpace(body, nameEnd);
    if (body.charCodeAt(colon) !== 58) return -1 - colon;
    const valueStart = skipSpace(body, colon + 1);
    const valueEnd = endOfValue(body, valueStart, DEFAULTS.jsonDepth);
    if (valueEnd < 0) return valueEnd;
    keep(members, nameIn(body, at, nameEnd), body, valueStart, valueEnd);
    at = skipSpace(body, valueEnd);
    const sign = body.charCodeAt(at);
    if (sign === 125) return at + 1;
    if (sign !== 44) return -1 - at;
    at = skipSpace(body, at + 1);
  }
}

/** The text between quotes; a name may be spelled with escapes. */
function nameIn(body: string, quote: number, end: number): string {
  if (body.startsWith('payload"', quote + 1)) return 'payload';
  return textOf(body.slice(quote, end));
}

const textOf = (source: string): string => (source.includes('\\') ? (JSON.parse(source) as string) : source.slice(1, -1));

function keep(members: Members, name: string, body: string, start: number, end: number): void {
  if (name === 'payload' || name === 'qualifier' || name === 'priority') {
    // JSON.parse would take the last one and a proxy in front perhaps the first: neither is what the caller meant.
    if (members[name] !== undefined) fault(members, { field: name, message: 'is given twice' });
    else members[name] = body.slice(start, end);
  } else fault(members, { field: name.slice(0, 100), message: 'is not a field of this request', allowed: FIELDS });
}

function fault(members: Members, found: FieldFault): void {
  if (members.faults.length < MAX_FAULTS) members.faults.push(found);
}

function checked({ payload = 'null', qualifier, priority, faults }: Members): Envelope {
  if (qualifier === undefined && priority === undefined && faults.length === 0) return { kind: 'ok', payload };
  const envelope: Envelope = { kind: 'ok', payload };
  if (qualifier !== undefined) {
    const text = qualifier.startsWith('"') ? textOf(qualifier) : undefined;
    if (text !== undefined && QUALIFIER.test(text)) envelope.qualifier = text;
    else faults.push({ field: 'qualifier', message: text === undefined ? 'must be text' : 'names no version', allowed: QUALIFIER_ALLOWED });
  }
  if (priority !== undefined) {
    const text = priority.startsWith('"') ? textOf(priority) : undefined;
    const known = PRIORITIES.find((name) => name === text);
    if (known) envelope.priority = known;
    else faults.push({ field: 'priority', message: 'is not a priority', allowed: PRIORITIES.join(', ') });
  }
  return faults.length > 0 ? { kind: 'invalid', errors: faults } : envelope;
}
