import { createHash } from 'node:crypto';
import { DEFAULTS } from '../../../lib/core/defaults.js';
import { asFunctionId, asRequestId, asTenantId, base32, type RequestId, timePrefix } from '../../../lib/core/ids.js';
import type { AcceptRequest, AttemptEnd, ClaimRef, ClaimRequest, CompletionPolicy, Head } from '../../../lib/core/invocations/model.js';
import type { InvocationStore } from '../../../lib/core/invocations/port.js';
import type { LedgerEntry } from '../../../lib/core/metering/model.js';

export interface OpenStore {
  store: InvocationStore;
  /** All that was billed for one invocation, by attempt. */
  ledger(requestId: string): Promise<LedgerEntry[]>;
  close(): Promise<void>;
}

export const T0 = Date.parse('2026-03-01T12:00:00Z');
export const SEC = 1000;
let serial = 0;
export const next = (): number => {
  serial += 1;
  return serial;
};

export const nonce = (): string => `n${next()}`;
export const newId = (at = T0): RequestId => asRequestId(`req_${timePrefix(at)}${String(next()).padStart(16, '0')}`);
export const claiming = (more: Partial<ClaimRequest> = {}): ClaimRequest => ({
  owner: 'me',
  nonce: nonce(),
  now: T0 + SEC,
  voidAt: T0 + 30 * SEC,
  maxAgeSec: 21_600,
  ...more,
});
export const policy = (now = T0 + 2 * SEC, maxRetries = 5): CompletionPolicy => ({
  retry: { maxRetries, baseDelayMs: 500, maxAgeSec: 21_600 },
  jitter: 1,
  now,
});
export const ended = (more: Partial<AttemptEnd['attempt']> = {}, result = '{"ok":true}'): AttemptEnd => ({
  attempt: {
    version: '$LATEST',
    codeSha256: 'c0de',
    memoryMb: 128,
    startedAt: T0 + SEC,
    durationMs: 12.345,
    coldStart: true,
    outcome: 'SUCCEEDED',
    fault: null,
    ...more,
  },
  result: more.outcome && more.outcome !== 'SUCCEEDED' ? undefined : { kind: 'inline', json: result },
});
export const failed = (type = 'Error'): AttemptEnd =>
  ended({ outcome: 'FAILED', fault: 'tenant', error: { type, message: 'no', stack: ['at here'] } });
export const lost = (): AttemptEnd => ended({ outcome: 'LOST', fault: 'platform', error: { type: 'Platform.SlotLost', message: 'gone' } });

export type Scene = ReturnType<typeof sceneOn>;

/** A tenant of its own with one function, and what the tests do in its name. */
export function sceneOn(opened: OpenStore) {
  const { store } = opened;
  const ledger = (requestId: string): Promise<LedgerEntry[]> => opened.ledger(requestId);
  const tenantId = asTenantId(`tenant-${next()}`);
  const functionId = asFunctionId(`fn_${base32(createHash('sha256').update(tenantId).digest(), 20)}`);

  const keyed = (name: string, digest = 'd', at = T0) => ({
    slot: createHash('sha256').update(`${functionId}/${name}`).digest('hex'),
    digest,
    expiresAt: at + DEFAULTS.keyTtlMs,
  });
  const asking = (more: Partial<AcceptRequest> = {}): AcceptRequest => ({
    requestId: newId(more.now),
    tenantId,
    functionId,
    qualifier: '$LATEST',
    mode: 'async',
    priority: 'normal',
    payload: { kind: 'inline', json: '{"a":1}' },
    payloadBytes: 7,
    nonce: nonce(),
    now: T0,
    ...more,
  });
  const syncAsking = (more: Partial<AcceptRequest> = {}): AcceptRequest =>
    asking({ mode: 'sync', payload: undefined, claim: { owner: 'me', voidAt: T0 + 30 * SEC }, ...more });

  const accepted = async (request: AcceptRequest): Promise<Head> => {
    const decision = await store.accept(request);
    expect(decision.kind).toBe('accepted');
    return decision.head;
  };
  const claimed = async (requestId: RequestId, request = claiming()): Promise<{ head: Head; ref: ClaimRef }> => {
    const decision = await store.claim(requestId, request);
    if (decision.kind !== 'claimed') throw new Error(`claimed expected, not ${decision.kind}`);
    return { head: decision.head, ref: { requestId, attempt: decision.head.attempt, nonce: request.nonce } };
  };
  /** Accepted, run once, and dead of it. */
  const died = async (at = T0, type = 'Error'): Promise<Head> => {
    const { requestId } = await accepted(asking({ now: at }));
    const { ref } = await claimed(requestId, claiming({ now: at, voidAt: at + 30 * SEC }));
    const decision = await store.complete(ref, failed(type), policy(at, 0));
    if (decision.kind !== 'recorded') throw new Error(decision.kind);
    return decision.head;
  };
  const read = async (requestId: RequestId): Promise<Head> => {
    const head = await store.get(tenantId, requestId);
    if (!head) throw new Error('it is not there');
    return head;
  };
  const readyIds = async (priority: Head['priority'] = 'normal', limit = 100): Promise<string[]> =>
    (await store.ready({ tenantId, functionId, priority, until: Number.MAX_SAFE_INTEGER, limit })).map((e) => e.requestId);

  return { store, ledger, tenantId, functionId, keyed, asking, syncAsking, accepted, claimed, died, read, readyIds };
}
