import { validateHeaderName, validateHeaderValue } from 'node:http';

/** What goes to the client. Header names are lower-case. */
export interface SiteAnswer {
  status: number;
  headers: Record<string, string | string[]>;
  cookies: string[];
  body: Buffer;
}

export type SiteHead = Omit<SiteAnswer, 'body'>;

/** The handler's answer is not one that HTTP can carry: a fault of the function. */
export type BadAnswer = { fault: string };

const EMPTY = Buffer.alloc(0);
/** Ours to say (RFC 9110, 7.6.1), and the length, which we know better. */
const OURS = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'content-length']);

/** `{statusCode, headers, cookies, body, isBase64Encoded}`, or any JSON value, which is the body of a 200. */
export function siteAnswer(resultJson: string): SiteAnswer | BadAnswer {
  // Most plain values are told without parsing; `\u` may hide the name.
  const mayBeAnswer = /^\s*\{/.test(resultJson) && (resultJson.includes('"statusCode"') || resultJson.includes('\\u'));
  const value: unknown = mayBeAnswer ? JSON.parse(resultJson) : undefined;
  if (value === null || typeof value !== 'object' || !('statusCode' in value)) {
    return { status: 200, headers: { 'content-type': 'application/json' }, cookies: [], body: Buffer.from(resultJson) };
  }
  const head = headOf(value);
  if ('fault' in head) return head;
  const body = bodyOf(value as { body?: unknown; isBase64Encoded?: unknown });
  if (!Buffer.isBuffer(body)) return body;
  const isBinary = (value as { isBase64Encoded?: unknown }).isBase64Encoded === true;
  if (body.length > 0) head.headers['content-type'] ??= isBinary ? 'application/octet-stream' : 'text/plain; charset=utf-8';
  return { ...head, body };
}

/** What a streaming handler says before its first bytes; empty text where it says nothing. */
export function streamHead(json: string): SiteHead | BadAnswer {
  const value = json === '' ? {} : parsed(json);
  if (value === null || value === undefined || typeof value !== 'object') return { fault: 'the head of a streamed answer is no object' };
  const head = headOf({ statusCode: 200, ...value });
  if (!('fault' in head)) head.headers['content-type'] ??= 'application/octet-stream';
  return head;
}

/** Undefined where it is no JSON: the text is the function's own. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function headOf(value: object): SiteHead | BadAnswer {
  const { statusCode, headers, cookies } = value as { statusCode?: unknown; headers?: unknown; cookies?: unknown };
  const status = typeof statusCode === 'string' && /^\d{3}$/.test(statusCode) ? Number(statusCode) : statusCode;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599)
    return { fault: 'statusCode is no number from 200 to 599' };
  const fields = headersOf(headers ?? {});
  if ('fault' in fields) return fields;
  const list = cookies ?? [];
  if (!Array.isArray(list) || !list.every((cookie): cookie is string => typeof cookie === 'string' && isValue('set-cookie', cookie))) {
    return { fault: 'cookies is no list of texts' };
  }
  const { 'set-cookie': own, ...rest } = fields.headers;
  return { status, headers: rest, cookies: own === undefined ? list : [...[own].flat(), ...list] };
}

function headersOf(given: unknown): { headers: Record<string, string | string[]> } | BadAnswer {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return { fault: 'headers is no object' };
  const headers = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    const list = Array.isArray(value) ? value : [value];
    // A text made of anything deeper may end in its own toString, or in no stack left.
    const values = list.every(isPlain) ? list.map(String) : [];
    if (values.length !== list.length || !isName(name) || !values.every((each) => isValue(name, each)))
      return { fault: `the header '${name.slice(0, 100)}' is not one that HTTP can carry` };
    const key = name.toLowerCase();
    if (!OURS.has(key)) headers[key] = values.length === 1 ? values[0]! : values;
  }
  return { headers };
}

const isPlain = (value: unknown): boolean => value === null || typeof value !== 'object';

function isName(name: string): boolean {
  try {
    validateHeaderName(name);
    return true;
  } catch {
    return false;
  }
}

function isValue(name: string, value: string): boolean {
  try {
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

function bodyOf({ body, isBase64Encoded }: { body?: unknown; isBase64Encoded?: unknown }): Buffer | BadAnswer {
  if (body === undefined || body === null || body === '') return EMPTY;
  if (typeof body !== 'string') return { fault: 'body is no text' };
  if (isBase64Encoded !== undefined && isBase64Encoded !== null && typeof isBase64Encoded !== 'boolean')
    return { fault: 'isBase64Encoded is no boolean' };
  return Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
}
