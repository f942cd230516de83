import { billedMsOf } from '../metering/model.js';
import type { AcceptRequest, Attempt, AttemptEnd, Head } from './model.js';
import type { FinishedCall } from './port.js';
import { completionNonce, isBillable } from './rules.js';

const NO_ERROR = { type: 'Unknown', message: 'The attempt ended without an error of its own.' };

/**
 * The whole life of a sync call without a key in one step: what `accept` and `complete` would make of it
 * (test/unit/invocations/finish.spec.ts holds it to that), without four copies of the head on the busiest path.
 */
export function finish(request: AcceptRequest, end: AttemptEnd, now: number): FinishedCall {
  const { outcome } = end.attempt;
  const succeeded = outcome === 'SUCCEEDED';
  const attempt = ended(end.attempt);
  const head: Head = {
    requestId: request.requestId,
    tenantId: request.tenantId,
    functionId: request.functionId,
    qualifier: request.qualifier,
    mode: 'sync',
    priority: request.priority,
    state: succeeded ? 'SUCCEEDED' : outcome === 'TIMED_OUT' ? 'TIMED_OUT' : 'FAILED',
    acceptedAt: request.now,
    readyAt: request.readyAt ?? request.now,
    parked: false,
    completedAt: now,
    attempt: 1,
    lastNonce: completionNonce({ requestId: request.requestId, attempt: 1, nonce: request.nonce }),
    attempts: [attempt],
    chain: { startedAt: request.now, tenantFaults: 0, platformFaults: 0, deaths: 0 },
    replays: 0,
    source: request.source,
    payloadBytes: request.payloadBytes,
    result: succeeded ? end.result : undefined,
    error: succeeded ? undefined : (attempt.error ?? NO_ERROR),
  };
  return { head, usage: attempt.billedMs === 0 ? undefined : usageOf(head, attempt, now) };
}

/** Spelled out: a spread of the attempt costs more here than all the rest. */
function ended(attempt: AttemptEnd['attempt']): Attempt {
  return {
    attempt: 1,
    version: attempt.version,
    codeSha256: attempt.codeSha256,
    memoryMb: attempt.memoryMb,
    startedAt: attempt.startedAt,
    durationMs: attempt.durationMs,
    billedMs: isBillable(attempt) ? billedMsOf(attempt.durationMs) : 0,
    coldStart: attempt.coldStart,
    outcome: attempt.outcome,
    fault: attempt.fault,
    error: attempt.error,
  };
}

const usageOf = (head: Head, { version, memoryMb, billedMs }: Attempt, now: number): FinishedCall['usage'] => ({
  requestId: head.requestId,
  attempt: 1,
  tenantId: head.tenantId,
  functionId: head.functionId,
  version,
  memoryMb,
  billedMs,
  endedAt: now,
  first: true,
});
