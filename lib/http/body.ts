import type { MiddlewareHandler } from 'hono';
import { DEFAULTS } from '../core/defaults.js';
import { Refusal } from '../core/refusal.js';
import type { ApiEnv } from './api.js';
import { BodyWatch, tooSlow } from './body-watch.js';
import { badJson, tooLarge } from './problem.js';

const MB = 1024 * 1024;
const JSON_TYPE = /^application\/([\w.-]+\+)?json\s*(;|$)/i;

/** Bodies of the control plane, bytes; the first that matches. */
const LIMITS: readonly { path: RegExp; bytes: number }[] = [
  // Inline code: JSON escapes make text longer than it is in an archive.
  { path: /^\/api\/v1\/functions(\/[^/]+\/code)?$/, bytes: DEFAULTS.archiveBytes + 14 * MB },
  { path: /^\/api\/v1\/namespaces\/[^/]+\/functions\/[^/]+$/, bytes: DEFAULTS.archiveBytes + 14 * MB },
  { path: /^\/api\/v1\/queues\/[^/]+\/messages$/, bytes: 32 * MB },
];
const LIMIT_BYTES = MB;

/** Reads the body once, within its limit, and refuses JSON that is malformed or nested too deeply before any schema sees it. */
export const bodyWithinLimits: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const { raw } = c.req;
  if (raw.method === 'GET' || raw.method === 'HEAD' || raw.body === null) return next();
  const limit = LIMITS.find(({ path }) => path.test(c.req.path))?.bytes ?? LIMIT_BYTES;
  const bytes = await readInTime(raw, limit);
  c.req.bodyCache.arrayBuffer = Promise.resolve(bytes.buffer) as never;
  if (JSON_TYPE.test(c.req.header('content-type') ?? '')) {
    const value = parseJson(bytes);
    c.req.json = () => Promise.resolve(value as never);
  }
  return next();
};

/** A read that is given up is left as it stands: to cancel it would cut the connection before the answer is out. */
async function readInTime(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  let giveUp: (refusal: Refusal) => void = () => undefined;
  const slow = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  const watch = new BodyWatch(() => giveUp(tooSlow()));
  try {
    return await Promise.race([readWithin(request, limit, watch), slow]);
  } finally {
    watch.end();
  }
}

async function readWithin(request: Request, limit: number, watch: BodyWatch): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge(limit);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > limit) throw tooLarge(limit);
      chunks.push(chunk);
      watch.came();
    }
  } catch (error) {
    // The caller hung up: nobody reads the answer, and it is no fault of ours to be told of.
    throw error instanceof Refusal ? error : new Refusal(400, 'FNS_400_BODY_CUT', 'The body ended before it was complete.');
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) throw badJson('it is empty');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badJson('it is not UTF-8');
  }
  if (depthOf(bytes) > DEFAULTS.jsonDepth) throw badJson(`it is nested more than ${DEFAULTS.jsonDepth} levels deep`);
  try {
    return JSON.parse(text);
  } catch (error) {
    // The parser quotes the text around the fault; a secret may stand there.
    throw badJson(/at position \d+/.exec((error as Error).message)?.[0] ?? 'it ends too early');
  }
}

/** The deepest nesting, counted without recursion: a schema's recursion must not be the first to meet 20,000 brackets. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i += 1) {
    const sign = bytes[i];
    if (inString) {
      if (sign === 0x5c) i += 1;
      else if (sign === 0x22) inString = false;
    } else if (sign === 0x22) inString = true;
    else if (sign === 0x7b || sign === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (sign === 0x7d || sign === 0x5d) depth -= 1;
  }
  return deepest;
}
