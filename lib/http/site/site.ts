import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.js';
import { DEFAULTS } from '../../core/defaults.js';
import type { FunctionRecord } from '../../core/functions/model.js';
import type { FunctionId, TenantId } from '../../core/ids.js';
import type { Head } from '../../core/invocations/model.js';
import type { Invocations, InvokeCall } from '../../core/invocations/service.js';
import { invalidField, Refusal } from '../../core/refusal.js';
import { may, type Principal } from '../../core/tenancy/model.js';
import type { Authenticator } from '../../core/tenancy/service.js';
import type { Cors, HttpTrigger } from '../../core/triggers/model.js';
import type { Match } from '../../core/triggers/routes.js';
import type { BodyPatience } from '../body-watch.js';
import type { Freight } from '../freight.js';
import { problemAnswer, refusalOf, unauthenticated } from '../problem.js';
import { siteAnswer } from './answer.js';
import { ClientGone, discardBody, readBody } from './body.js';
import { compressed } from './compress.js';
import { corsHeaders, isPreflight, preflight } from './cors.js';
import { httpEvent } from './event.js';
import { Outgoing } from './outgoing.js';
import type { SiteTarget } from './target.js';

export interface SiteDeps {
  sites: { match(tenantId: string, method: string, rawPath: string): Match };
  authenticator: Authenticator;
  invocations: Pick<Invocations, 'invokeSync'>;
  findFunction(tenantId: TenantId, functionId: FunctionId): FunctionRecord | undefined | Promise<FunctionRecord | undefined>;
  clock: Clock;
  freight: Freight;
  /** New each time; names the request in the event and in refusals that happen before the function is called. */
  newRequestId(): string;
  /** Default: DEFAULTS.bodyIdleMs and bodyMs. */
  patience?: BodyPatience;
  /** Told of what a caller must not see. */
  onFault(error: unknown, at: { requestId: string; method: string; path: string }): void;
}

type Found = Extract<Match, { kind: 'route' }>;
interface Caller {
  header?: 'authorization' | 'x-api-key';
  principal?: Principal;
}

/** Serves a request to a tenant's site, on bare node:http; never rejects. */
export async function handleSite(req: IncomingMessage, res: ServerResponse, target: SiteTarget, deps: SiteDeps): Promise<void> {
  const requestId = deps.newRequestId();
  const add = { headers: {}, root: target.form === 'path' ? `/http/${target.tenantId}` : '', requestId };
  const out = new Outgoing(res, add);
  try {
    const match = deps.sites.match(target.tenantId, req.method ?? 'GET', target.rawPath);
    if (match.kind !== 'none') add.headers = corsHeaders(match.trigger, req.headers.origin);
    if (match.kind !== 'none' && match.trigger.cors && isPreflight(req.method ?? '', req.headers))
      answerPreflight(req, target, match.trigger, out, deps);
    else await serve(req, target, match, out, add, deps);
  } catch (error) {
    if (error instanceof ClientGone) return;
    refuse(refusalOf(error), add.requestId, out);
    // A Refusal is meant; anything else is ours to look into.
    if (!(error instanceof Refusal)) deps.onFault(error, { requestId: add.requestId, method: req.method ?? '', path: target.rawPath });
  } finally {
    discardBody(req);
  }
}

function refuse(refusal: Refusal, requestId: string, out: Outgoing): void {
  const { status, headers, body } = problemAnswer(refusal, requestId);
  if (out.isStreaming) out.endStream(false);
  else out.whole({ status, headers, cookies: [], body: Buffer.from(body) });
}

function answerPreflight(req: IncomingMessage, target: SiteTarget, near: HttpTrigger, out: Outgoing, deps: SiteDeps): void {
  const { origin } = req.headers;
  const asked = deps.sites.match(target.tenantId, String(req.headers['access-control-request-method']), target.rawPath);
  // The route that would take the request decides; the nearest one says no where none would.
  const trigger = asked.kind === 'none' ? near : asked.trigger;
  const fields = req.headers['access-control-request-headers'];
  const headers = trigger.cors ? preflight(trigger as HttpTrigger & { cors: Cors }, origin, fields?.toString()) : {};
  out.whole({ status: 204, headers, cookies: [], body: Buffer.alloc(0) });
}

async function serve(
  req: IncomingMessage,
  target: SiteTarget,
  match: Match,
  out: Outgoing,
  add: { requestId: string },
  deps: SiteDeps,
): Promise<void> {
  if (match.kind === 'none') throw new Refusal(404, 'FNS_404_ROUTE', 'No route of this site takes this path.');
  if (match.kind === 'method') throw wrongMethod(req.method ?? '', match.allow);
  const { trigger } = match;
  const caller = trigger.auth === 'none' ? {} : await authenticated(req, target, deps);
  const found = deps.findFunction(trigger.tenantId, trigger.functionId);
  const fn = found instanceof Promise ? await found : found;
  if (!fn) throw new Refusal(404, 'FNS_404_ROUTE', 'The function of this route is gone.');
  const read = readBody(req, (bytes) => deps.freight.load(fn.tenantId, bytes, out.res), deps.patience);
  const body = read instanceof Promise ? await read : read;
  const call = callOf(req, target, match, fn, caller, body, add.requestId, deps.clock.now());
  // A stored answer is given again to whoever repeats the request, so under a key it is kept in one piece.
  if (call.idempotencyKey === undefined) call.onChunk = (chunk) => out.chunk(chunk);
  const answer = await deps.invocations.invokeSync(call);
  if (answer.kind === 'refused') throw answer.refusal;
  if (answer.kind === 'running') throw timedOut();
  add.requestId = answer.head.requestId;
  if (out.isStreaming) return out.endStream(answer.head.state === 'SUCCEEDED');
  deps.freight.answer(fn.tenantId, answer.result?.length ?? 0, out.res);
  await finish(req, answer.head, answer.result, answer.replayed, out);
}

async function finish(req: IncomingMessage, head: Head, result: string | undefined, replayed: boolean, out: Outgoing): Promise<void> {
  if (head.state !== 'SUCCEEDED') throw faultOf(head);
  const answer = siteAnswer(result ?? 'null');
  if ('fault' in answer) throw functionError(`The function's answer is not a valid HTTP answer: ${answer.fault}.`);
  if (replayed) answer.headers['idempotency-replayed'] = 'true';
  await compressed(answer, req.headers['accept-encoding']?.toString());
  out.whole(answer);
}

function callOf(
  req: IncomingMessage,
  target: SiteTarget,
  { trigger, params, routeKey }: Found,
  fn: FunctionRecord,
  { header, principal }: Caller,
  body: Buffer,
  requestId: string,
  now: number,
): InvokeCall {
  const { method = 'GET', rawHeaders, httpVersion } = req;
  const { rawPath, rawQuery } = target;
  const authorizer = principal && { key: { keyId: principal.keyId, tenantId: principal.tenantId, role: principal.role } };
  const payload = httpEvent(
    { method, rawPath, rawQuery, rawHeaders, httpVersion, remoteAddress: req.socket.remoteAddress, body },
    { trigger, routeKey, params, credentialHeader: header, authorizer, requestId, now },
  );
  const { triggerId, qualifier } = trigger;
  return {
    fn,
    qualifier,
    payload,
    triggerId,
    source: { type: 'http', triggerId },
    ...(trigger.idempotency ? keyOf(req, target, trigger, body) : {}),
  };
}

/** The key is the trigger's own. What must repeat is what could change the answer; the event's bytes hold the time, so they never do. */
function keyOf(
  req: IncomingMessage,
  { rawPath, rawQuery }: SiteTarget,
  { triggerId }: HttpTrigger,
  body: Buffer,
): Pick<InvokeCall, 'idempotencyKey' | 'repeats'> {
  const sent = req.headers['idempotency-key']?.toString().trim();
  if (!sent) return {};
  const key = /^"(.*)"$/.exec(sent)?.[1] ?? sent;
  if (key === '' || key.length > DEFAULTS.idempotencyKeyBytes)
    throw invalidField('Idempotency-Key', `must be 1 to ${DEFAULTS.idempotencyKeyBytes} bytes long`);
  const { authorization, cookie } = req.headers;
  const credentials = [authorization, req.headers['x-api-key'], cookie].map((each) => each?.toString() ?? null);
  return {
    idempotencyKey: `http:${triggerId}:${key}`,
    repeats: JSON.stringify([req.method, rawPath, rawQuery, ...credentials, body.toString('base64')]),
  };
}

/** The first header that holds a key of this tenant with the right to call; it is taken out of the event. */
async function authenticated(req: IncomingMessage, { tenantId }: SiteTarget, { authenticator }: SiteDeps): Promise<Caller> {
  const bearer = /^bearer +([\x21-\x7e]{1,8192})$/i.exec(req.headers.authorization ?? '')?.[1];
  let refusal = unauthenticated('This route wants a key: Authorization: Bearer <key>, or x-api-key.');
  for (const [header, key] of [['authorization', bearer] as const, ['x-api-key', req.headers['x-api-key']?.toString()] as const]) {
    if (!key) continue;
    const principal = authenticator.known(key) ?? (await authenticator.authenticate(key));
    if (!principal) refusal = unauthenticated('This key is not known, or it has expired.');
    else if (principal.tenantId !== tenantId || principal.suspended || !may(principal, 'use')) {
      refusal = new Refusal(403, 'FNS_403_FORBIDDEN', 'This key may not call this route.');
    } else return { header, principal };
  }
  throw refusal;
}

function wrongMethod(method: string, allow: string[]): Refusal {
  const list = (allow.includes('ANY') ? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] : allow).join(', ');
  return new Refusal(405, 'FNS_405_METHOD', `${method} is not possible on this route (allowed: ${list}).`, { headers: { allow: list } });
}

const FUNCTION_ERROR = { 'x-fns-function-error': 'Unhandled' };

/** What the client sees of a fault: no message and no stack of the function's. */
function faultOf(head: Head): Refusal {
  if (head.state === 'TIMED_OUT') return timedOut();
  if (head.attempts.at(-1)?.fault === 'platform') {
    return new Refusal(503, 'FNS_503_PLATFORM', 'The platform lost this call before it had an outcome.', { retryAfterSec: 1 });
  }
  return functionError('The function of this route failed. Its owner finds why by the request id.');
}

const functionError = (detail: string): Refusal => new Refusal(502, 'FNS_502_FUNCTION_ERROR', detail, { headers: FUNCTION_ERROR });
const timedOut = (): Refusal =>
  new Refusal(504, 'FNS_504_FUNCTION_TIMEOUT', 'The function of this route did not answer in time.', { headers: FUNCTION_ERROR });
