import { STATUS_CODES } from 'node:http';
import { HTTPException } from 'hono/http-exception';
import { type FieldFault, PlatformFault, Refusal } from '../core/refusal.js';

/** RFC 9457, with the members that callers rely on. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  requestId: string;
  errors?: FieldFault[];
}

/** A whole answer, for either server: hono's and the bare one of the data path. */
export interface ProblemAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export const PROBLEM_TYPE = 'application/problem+json';

/** Seconds after which a caller may try again where the platform itself is at fault. */
const STORE_RETRY_AFTER_SEC = 5;

export function problemAnswer(refusal: Refusal, requestId: string): ProblemAnswer {
  const { status, code, message, more } = refusal;
  const problem: Problem = {
    type: `urn:fns:problem:${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: message,
    code,
    requestId,
  };
  if (more.errors) problem.errors = more.errors;
  const headers: Record<string, string> = { ...more.headers, 'content-type': PROBLEM_TYPE, 'x-request-id': requestId };
  if (more.retryAfterSec !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(more.retryAfterSec)));
  return { status, headers, body: JSON.stringify(problem) };
}

/** Any error as the refusal that a caller may see; inner text never gets out. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof PlatformFault) {
    return new Refusal(503, 'FNS_503_PLATFORM', `The platform cannot do this now: ${error.message}`, {
      retryAfterSec: STORE_RETRY_AFTER_SEC,
    });
  }
  if (error instanceof HTTPException) return ofHttpException(error);
  return new Refusal(500, 'FNS_500_INTERNAL', 'Something went wrong inside the platform. The request id finds it in the platform’s log.');
}

function ofHttpException(error: HTTPException): Refusal {
  if (error.status === 400) return badJson(error.message);
  if (error.status === 415)
    return new Refusal(
      415,
      'FNS_415_MEDIA_TYPE',
      'The body’s Content-Type is not one that this call takes; for JSON send Content-Type: application/json.',
    );
  return new Refusal(error.status, `FNS_${error.status}_REFUSED`, error.message || (STATUS_CODES[error.status] ?? 'Refused'));
}

export const badJson = (why: string): Refusal => new Refusal(400, 'FNS_400_BAD_JSON', `The body is not valid JSON: ${why}`);

export const tooLarge = (limitBytes: number): Refusal =>
  new Refusal(413, 'FNS_413_PAYLOAD_TOO_LARGE', `The body is larger than the ${limitBytes} bytes that this call takes.`);

export const unauthenticated = (detail: string): Refusal =>
  new Refusal(401, 'FNS_401_UNAUTHENTICATED', detail, { headers: { 'www-authenticate': 'Bearer realm="fns"' } });
