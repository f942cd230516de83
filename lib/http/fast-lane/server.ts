import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Random } from '../../core/clock.js';
import { DEFAULTS } from '../../core/defaults.js';
import { base32, timePrefix } from '../../core/ids.js';
import { PlatformFault, Refusal } from '../../core/refusal.js';
import { problemAnswer, refusalOf } from '../problem.js';
import { type InvokeParts, invoke, invokeTarget } from './invoke.js';

export interface ServerParts {
  clock: Clock;
  random: Random;
  /** False until recovery is done. */
  isOpen(): boolean;
  invoke: InvokeParts;
  /** Serves a tenant's site; false where this request is for no site (neither host nor path form). */
  site(req: IncomingMessage, res: ServerResponse): boolean;
  /** Everything else. */
  controlPlane: RequestListener;
  onFault(error: unknown, at: { requestId: string; method: string; path: string }): void;
}

/** A request's head must be there after this long. */
const HEADERS_TIMEOUT_MS = 15_000;
/** A whole request, body included, must be there after this long; then 408. */
const REQUEST_TIMEOUT_MS = DEFAULTS.bodyMs + HEADERS_TIMEOUT_MS;
const KEEP_ALIVE_MS = 65_000;
const DISCARD_MS = 5_000;
/** Whoever was too slow is not waited for again. */
const SLOW = 408;
/** Longer than any idempotency key, token and cookie that a caller may rightly send. */
const HEADER_BYTES = 32 * 1024;

/** One server for both planes: the data plane on bare node:http, the control plane behind it. */
export function fnsServer(parts: ServerParts): Server {
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES,
      noDelay: true,
    },
    (req, res) => {
      const target = invokeTarget(req);
      if (!parts.isOpen() && !isProbe(req)) refuse(parts, starting(), req, res);
      else if (target) {
        invoke(parts.invoke, target, req, res).catch((error) => refuse(parts, error, req, res));
      } else if (!parts.site(req, res)) parts.controlPlane(req, res);
    },
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseBytes(parts, error, socket as Socket));
  return server;
}

const isProbe = (req: IncomingMessage): boolean => req.url === '/readyz' || req.url === '/healthz';

const starting = (): Refusal =>
  new Refusal(503, 'FNS_503_STARTING', 'The platform is recovering what an earlier process left; nothing has run.', { retryAfterSec: 1 });

const newRequestId = ({ clock, random }: ServerParts): string => `req_${timePrefix(clock.now())}${base32(random.bytes(10), 16)}`;

function refuse(parts: ServerParts, error: unknown, req: IncomingMessage, res: ServerResponse): void {
  // Nobody is there to be told.
  if (res.destroyed || res.headersSent) {
    res.destroy();
    return;
  }
  const refusal = refusalOf(error);
  const requestId = newRequestId(parts);
  if (!(error instanceof Refusal) || error instanceof PlatformFault) {
    parts.onFault(error, { requestId, method: req.method ?? '', path: (req.url ?? '').split('?')[0] as string });
  }
  const { status, headers, body } = problemAnswer(refusal, requestId);
  res.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  if (req.complete || status === SLOW) res.end(body);
  else {
    res.write(body);
    afterBody(parts, req, () => res.end());
  }
}

/**
 * The rest of a body that nobody wants is read and thrown away for a moment before the answer ends: a client that still
 * writes when the connection is cut sees a broken pipe instead of the answer.
 */
function afterBody({ clock }: ServerParts, req: IncomingMessage, then: () => void): void {
  const cancel = clock.after(DISCARD_MS, () => req.destroy());
  req.once('close', cancel).once('end', then).resume();
}

const BYTE_FAULTS: Record<string, [number, string, string]> = {
  HPE_HEADER_OVERFLOW: [431, 'FNS_431_HEADERS_TOO_LARGE', `The request's headers are larger than ${HEADER_BYTES} bytes.`],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'FNS_408_TOO_SLOW', `The request was not complete after ${REQUEST_TIMEOUT_MS / 1000} s.`],
};

/** What is no HTTP at all gets an answer too, then the connection ends. */
function refuseBytes(parts: ServerParts, error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, code, detail] = BYTE_FAULTS[error.code ?? ''] ?? [400, 'FNS_400_BAD_REQUEST', 'This is not a valid HTTP/1.1 request.'];
  const { headers, body } = problemAnswer(new Refusal(status, code, detail), newRequestId(parts));
  const lines = Object.entries({ ...headers, connection: 'close', 'content-length': Buffer.byteLength(body) });
  socket.end(`HTTP/1.1 ${status} ${code}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`);
}
