import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Random } from '../../core/clock.js';
import { DEFAULTS } from '../../core/defaults.js';
import type { FunctionRecord } from '../../core/functions/model.js';
import type { FunctionId, TenantId } from '../../core/ids.js';
import type { Invocations, InvokeCall } from '../../core/invocations/service.js';
import { invalid, invalidField, notFound, Refusal } from '../../core/refusal.js';
import { may, type Principal } from '../../core/tenancy/model.js';
import type { Authenticator } from '../../core/tenancy/service.js';
import { bearerOf } from '../bearer.js';
import type { Freight } from '../freight.js';
import type { Envelope } from '../json/envelope.js';
import type { JsonThread } from '../json/json-thread.js';
import { badJson, tooLarge, unauthenticated } from '../problem.js';
import { requestBody } from './request-body.js';
import { failed, syncBody } from './sync-answer.js';

export interface InvokeParts {
  authenticator: Authenticator;
  /** From memory where it is known. */
  find(tenantId: TenantId, functionId: FunctionId): FunctionRecord | undefined | Promise<FunctionRecord | undefined>;
  invocations: Invocations;
  json: JsonThread;
  random: Random;
  freight: Freight;
}

const PREFIX = '/api/v1/functions/';
const PATH = /^\/api\/v1\/functions\/([^/?]+)\/invoke(?:\?(.*))?$/;
/** Room for the envelope around the payload. */
const ENVELOPE_BYTES = 64 * 1024;

/** `POST /api/v1/functions/{id}/invoke`: the function's id and the mode, or undefined for any other request. */
export function invokeTarget(req: IncomingMessage): { functionId: string; query: string | undefined } | undefined {
  const url = req.url as string;
  if (req.method !== 'POST' || !url.startsWith(PREFIX)) return undefined;
  const found = PATH.exec(url);
  return found ? { functionId: found[1] as string, query: found[2] } : undefined;
}

/** Serves one invoke request. Throws Refusal and PlatformFault; the server makes problems of them. */
export async function invoke(
  parts: InvokeParts,
  target: { functionId: string; query: string | undefined },
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const sync = isSync(target.query);
  const who = await caller(parts, req);
  if (!may(who, 'use')) throw new Refusal(403, 'FNS_403_FORBIDDEN', `This key may not call functions: its role is '${who.role}'.`);
  const limit = sync ? DEFAULTS.payloadSyncBytes : DEFAULTS.payloadAsyncBytes;
  const found = parts.find(who.tenantId, target.functionId as FunctionId);
  const fn = found instanceof Promise ? await found : found;
  if (!fn) throw notFound('function', decodeURIComponentOr(target.functionId));
  const envelope = await read(
    parts,
    await requestBody(req, limit + ENVELOPE_BYTES, (bytes) => parts.freight.load(fn.tenantId, bytes, res)),
  );
  if (envelope.payload.length > limit) throw tooLarge(limit);
  const call: InvokeCall = { fn, qualifier: envelope.qualifier, payload: envelope.payload, priority: envelope.priority };
  const key = req.headers['idempotency-key'];
  if (key !== undefined) call.idempotencyKey = checkedKey(key as string);
  await (sync ? answerSync(parts, call, res) : answerAsync(parts, call, res));
}

async function caller(parts: InvokeParts, req: IncomingMessage): Promise<Principal> {
  const bearer = bearerOf(req.headers.authorization);
  if (!bearer) throw unauthenticated('Send a key: Authorization: Bearer <key>.');
  const who = parts.authenticator.known(bearer) ?? (await parts.authenticator.authenticate(bearer));
  if (!who) throw unauthenticated('This key is not known, or it has expired.');
  if (who.suspended) throw new Refusal(403, 'FNS_403_SUSPENDED', `The tenant '${who.tenantId}' is suspended.`);
  return who;
}

async function read(parts: InvokeParts, body: Buffer): Promise<Extract<Envelope, { kind: 'ok' }>> {
  const found = parts.json.envelope(body);
  const envelope = found instanceof Promise ? await found : found;
  if (envelope.kind === 'ok') return envelope;
  throw envelope.kind === 'invalid' ? invalid(envelope.errors) : badJson(envelope.detail.replace(/^The body is not valid JSON: /, ''));
}

function isSync(query: string | undefined): boolean {
  if (query === undefined || query === '') return false;
  if (query === 'mode=sync') return true;
  const asked = new URLSearchParams(query);
  for (const name of asked.keys()) if (name !== 'mode') throw invalidField(name, 'is not a parameter of this call', 'mode');
  const mode = asked.get('mode');
  if (mode !== 'sync' && mode !== 'async') throw invalidField('mode', 'is not a mode', 'sync, async');
  return mode === 'sync';
}

/** 1…255 visible ASCII signs, bare or quoted. */
export function checkedKey(header: string): string {
  if (header.length > 0 && header.length <= DEFAULTS.idempotencyKeyBytes && /^[\x20-\x7e]+$/.test(header) && header.trim() !== '')
    return header;
  throw invalidField('Idempotency-Key', 'is empty, too long or not plain ASCII', `1…${DEFAULTS.idempotencyKeyBytes} visible ASCII signs`);
}

async function answerSync({ invocations, freight }: InvokeParts, call: InvokeCall, res: ServerResponse): Promise<void> {
  const answer = await invocations.invokeSync(call);
  switch (answer.kind) {
    case 'refused':
      throw answer.refusal;
    case 'running':
      return accepted(res, answer.requestId, { location: `/api/v1/invocations/${answer.requestId}` });
    case 'done': {
      const body = syncBody(answer.head, answer.result);
      const headers: Record<string, string | number> = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      if (failed(answer.head)) headers['x-fns-function-error'] = 'Unhandled';
      if (answer.replayed) headers['idempotency-replayed'] = 'true';
      freight.answer(call.fn.tenantId, body.length, res);
      res.writeHead(200, headers).end(body);
    }
  }
}

async function answerAsync({ invocations }: InvokeParts, call: InvokeCall, res: ServerResponse): Promise<void> {
  const answer = await invocations.invokeAsync(call);
  if (answer.kind === 'refused') throw answer.refusal;
  accepted(res, answer.requestId, answer.replayed ? { 'idempotency-replayed': 'true' } : {});
}

function accepted(res: ServerResponse, requestId: string, more: Record<string, string>): void {
  const body = `{"requestId":"${requestId}","accepted":true}`;
  res.writeHead(202, { 'content-type': 'application/json', 'content-length': body.length, ...more }).end(body);
}

function decodeURIComponentOr(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
