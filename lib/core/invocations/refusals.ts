import type { FunctionRecord } from '../functions/model.js';
import { Refusal } from '../refusal.js';
import type { Admitted } from '../scheduling/admission.js';

export const overLimit = (fn: FunctionRecord, admitted: Exclude<Admitted, 'ok'>): Refusal =>
  new Refusal(
    429,
    'FNS_429_CONCURRENCY_LIMIT',
    admitted === 'tenant-limit'
      ? 'The tenant already runs as many invocations at once as its concurrency quota allows.'
      : `Function '${fn.name}' already runs ${fn.concurrency.max} invocations at once, its concurrency.max.`,
    { retryAfterSec: 1 },
  );

export const invokerBusy = (): Refusal =>
  new Refusal(503, 'FNS_503_INVOKER_BUSY', 'No slot became free within the wait budget; nothing has run.', { retryAfterSec: 1 });

export const draining = (): Refusal =>
  new Refusal(503, 'FNS_503_DRAINING', 'The platform is shutting down and takes no new calls; nothing has run.', { retryAfterSec: 1 });

export const storeAway = (why: string): Refusal =>
  new Refusal(503, 'FNS_503_STORE', `The platform takes no new calls: ${why}. Nothing has run.`, { retryAfterSec: 5 });

export const otherRequest = (): Refusal =>
  new Refusal(409, 'FNS_409_DUP_REQ', 'This Idempotency-Key was used within 24 h with another payload or qualifier.');

export const disabled = (fn: FunctionRecord): Refusal =>
  new Refusal(409, 'FNS_409_DISABLED', `Function '${fn.name}' is disabled; enable it with PUT /functions/${fn.functionId}/state.`);

export const backlogFull = (limit: string): Refusal =>
  new Refusal(429, 'FNS_429_BACKLOG_LIMIT', `The tenant's backlog of accepted calls is at its limit of ${limit}.`, { retryAfterSec: 5 });

export const notDead = (state: string): Refusal =>
  new Refusal(409, 'FNS_409_NOT_DEAD', `Only a dead letter can be replayed; this invocation is ${state}.`);

/** Idempotency-Key, bare or quoted (draft-ietf-httpapi-idempotency-key-header), 1…255 bytes. */
export function bareKey(header: string): string {
  const text = header.trim();
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}
