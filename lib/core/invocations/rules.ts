import { DEFAULTS } from '../defaults.js';
import { billedMsOf, type LedgerEntry } from '../metering/model.js';
import {
  type AcceptRequest,
  type Attempt,
  type AttemptEnd,
  type ClaimRef,
  type ClaimRequest,
  type CompletionPolicy,
  type DeadReason,
  type Head,
  type Lease,
  TERMINAL,
} from './model.js';
import { afterPlatformFault, afterTenantFault, type FailedChain, type Next } from './retry.js';

/**
 * The invocation's state machine: every step is a pure function from a head (or none) to what must be stored.
 * Adapters load a head, apply the rule and store the answer only if the head is unchanged; they decide nothing.
 * test/unit/invocations/state-space.spec.ts explores these rules exhaustively.
 */

export type AcceptDecision =
  /** Store `head`; it is a new invocation, or one that a platform fault had closed and that runs again. */
  | { kind: 'accepted'; head: Head; reopened: boolean }
  | { kind: 'replayed'; head: Head }
  | { kind: 'running'; head: Head }
  | { kind: 'conflict'; head: Head };

/** @param held the invocation that holds the key now; without a key, the one that stands under this very request id. */
export function accept(held: Head | undefined, request: AcceptRequest): AcceptDecision {
  if (!held) return { kind: 'accepted', head: fresh(request), reopened: false };
  // The write was applied and only its acknowledgement was lost: it is mine. Without a key nobody else makes this request id,
  // and the nonce may have moved on, since somebody claimed it meanwhile.
  if (held.lastNonce === request.nonce || !request.key) return { kind: 'accepted', head: held, reopened: false };
  // A late repeat of the very request that made `held` finds its own id taken, and never begins it anew.
  const expired = (held.keyExpiresAt ?? 0) <= request.now && held.requestId !== request.requestId;
  if (expired) return { kind: 'accepted', head: fresh(request), reopened: false };
  if (held.digest !== request.key.digest) return { kind: 'conflict', head: held };
  if (!TERMINAL.has(held.state)) return { kind: 'running', head: held };
  if (closedByPlatform(held)) return { kind: 'accepted', head: reopen(held, request), reopened: true };
  return { kind: 'replayed', head: held };
}

/** A sync call that the platform failed gave its caller no answer worth repeating: the key runs again. */
const closedByPlatform = (head: Head): boolean =>
  head.mode === 'sync' && head.state === 'FAILED' && head.attempts.at(-1)?.fault === 'platform';

function fresh(request: AcceptRequest): Head {
  const { requestId, tenantId, functionId, qualifier, mode, priority, now } = request;
  const head: Head = {
    requestId,
    tenantId,
    functionId,
    qualifier,
    mode,
    priority,
    state: 'ACCEPTED',
    acceptedAt: now,
    readyAt: request.readyAt ?? now,
    parked: false,
    attempt: 0,
    lastNonce: request.nonce,
    attempts: [],
    chain: { startedAt: now, tenantFaults: 0, platformFaults: 0, deaths: 0 },
    replays: 0,
    source: request.source,
    payload: request.payload,
    payloadBytes: request.payloadBytes,
    keySlot: request.key?.slot,
    digest: request.key?.digest,
    keyExpiresAt: request.key?.expiresAt,
  };
  return request.claim ? leased(head, { ...request.claim, nonce: request.nonce, now }) : head;
}

function reopen(held: Head, request: AcceptRequest): Head {
  const head: Head = {
    ...held,
    mode: request.mode,
    state: 'ACCEPTED',
    readyAt: request.readyAt ?? request.now,
    completedAt: undefined,
    error: undefined,
    lastNonce: request.nonce,
    payload: request.payload,
    payloadBytes: request.payloadBytes,
    keyExpiresAt: Math.max(held.keyExpiresAt ?? 0, request.key?.expiresAt ?? 0),
    chain: { startedAt: request.now, tenantFaults: 0, platformFaults: 0, deaths: 0 },
  };
  return request.claim ? leased(head, { ...request.claim, nonce: request.nonce, now: request.now }) : head;
}

function leased(head: Head, by: { owner: string; nonce: string; now: number; voidAt: number }): Head {
  const attempt = head.attempt + 1;
  const lease: Lease = { owner: by.owner, attempt, nonce: by.nonce, claimedAt: by.now, voidAt: by.voidAt };
  return { ...head, state: 'RUNNING', attempt, lease, parked: false, lastNonce: by.nonce };
}

export type ClaimDecision =
  /** `alone`: owners died while they ran it, so nothing may run beside it. */
  | { kind: 'claimed'; head: Head; alone: boolean }
  | { kind: 'leasedUntil'; until: number }
  | { kind: 'notBefore'; at: number }
  | { kind: 'terminal'; head: Head }
  /** Its lease was void: the attempt is lost. Store `head`, which is ready again, and ask again in its turn. */
  | { kind: 'freed'; head: Head }
  /** Too old to be tried again, or its owners died too often: store `head`. */
  | { kind: 'buried'; head: Head }
  | { kind: 'missing' };

/** @param ownerSeenAt the last heartbeat of the lease's owner, epoch ms; 0 if it is known to be gone. */
export function claim(head: Head | undefined, request: ClaimRequest, ownerSeenAt: number): ClaimDecision {
  if (!head) return { kind: 'missing' };
  // This very claim has freed or buried it, and only its acknowledgement was lost.
  if (head.lastNonce === request.nonce && !head.lease) return { kind: TERMINAL.has(head.state) ? 'buried' : 'freed', head };
  if (TERMINAL.has(head.state)) return { kind: 'terminal', head };
  if (head.lease) {
    if (head.lastNonce === request.nonce) return { kind: 'claimed', head, alone: mustRunAlone(head) };
    if (!leaseIsVoid(head.lease, request.now, ownerSeenAt)) {
      return { kind: 'leasedUntil', until: Math.min(head.lease.voidAt, ownerSeenAt + DEFAULTS.ownerSilentMs) };
    }
    const freed = takeover(head, request.now, request.nonce);
    return { kind: TERMINAL.has(freed.state) ? 'buried' : 'freed', head: freed };
  }
  if (head.readyAt > request.now) return { kind: 'notBefore', at: head.readyAt };
  if (request.now - head.chain.startedAt > request.maxAgeSec * 1000) {
    return { kind: 'buried', head: bury(head, 'max_age', request.now, request.nonce) };
  }
  return { kind: 'claimed', head: leased(head, request), alone: mustRunAlone(head) };
}

const mustRunAlone = (head: Head): boolean => head.chain.deaths >= DEFAULTS.deathsUntilAlone;

/** Void when the owner has been silent for too long, or the deadline and its grace have passed. */
export const leaseIsVoid = (lease: Lease, now: number, ownerSeenAt: number): boolean =>
  now >= lease.voidAt || now - ownerSeenAt >= DEFAULTS.ownerSilentMs;

export type CompleteDecision =
  /** Store `head` and, when there is one, `usage`, in one write. */
  | { kind: 'recorded'; head: Head; usage?: LedgerEntry }
  /** My own earlier write had been applied: nothing to store. */
  | { kind: 'already'; head: Head }
  | { kind: 'stale' };

export function complete(head: Head | undefined, ref: ClaimRef, end: AttemptEnd, policy: CompletionPolicy): CompleteDecision {
  if (!head) return { kind: 'stale' };
  const doneNonce = completionNonce(ref);
  if (head.lastNonce === doneNonce) return { kind: 'already', head };
  if (!holds(head, ref)) return { kind: 'stale' };
  const attempt: Attempt = {
    ...end.attempt,
    attempt: ref.attempt,
    billedMs: isBillable(end.attempt) ? billedMsOf(end.attempt.durationMs) : 0,
  };
  const done: Head = { ...head, lease: undefined, lastNonce: doneNonce, attempts: [...head.attempts, attempt] };
  const usage = usageOf(head, attempt, policy.now);
  return { kind: 'recorded', head: afterAttempt(done, attempt, end, policy), usage };
}

/** A completion is known again by the claim that it ends. */
export const completionNonce = (ref: ClaimRef): string => `${ref.nonce}.done`;

/**
 * Billed if the handler ran and the fault is not ours. Code that could not be loaded has a duration of 0: its handler never ran;
 * a success ran, however short it was.
 */
export const isBillable = (attempt: Pick<Attempt, 'fault' | 'outcome' | 'durationMs'>): boolean =>
  attempt.fault !== 'platform' && attempt.outcome !== 'LOST' && (attempt.outcome === 'SUCCEEDED' || attempt.durationMs > 0);

function usageOf(before: Head, attempt: Attempt, now: number): LedgerEntry | undefined {
  if (attempt.billedMs === 0) return undefined;
  const { requestId, tenantId, functionId } = before;
  const first = before.attempts.every((a) => a.billedMs === 0);
  return {
    requestId,
    tenantId,
    functionId,
    first,
    attempt: attempt.attempt,
    version: attempt.version,
    memoryMb: attempt.memoryMb,
    billedMs: attempt.billedMs,
    endedAt: now,
  };
}

function afterAttempt(head: Head, attempt: Attempt, end: AttemptEnd, policy: CompletionPolicy): Head {
  const { now } = policy;
  if (attempt.outcome === 'SUCCEEDED') return { ...head, state: 'SUCCEEDED', completedAt: now, result: end.result, error: undefined };
  const error = attempt.error ?? { type: 'Unknown', message: 'The attempt ended without an error of its own.' };
  if (head.mode === 'sync') {
    return { ...head, state: attempt.outcome === 'TIMED_OUT' ? 'TIMED_OUT' : 'FAILED', completedAt: now, error };
  }
  return attempt.fault === 'platform'
    ? follow(
        { ...head, error, chain: { ...head.chain, platformFaults: head.chain.platformFaults + 1 } },
        afterPlatformFault(chainOf(head), now, policy.jitter),
        now,
      )
    : follow(
        { ...head, error, chain: { ...head.chain, tenantFaults: head.chain.tenantFaults + 1 } },
        afterTenantFault(policy.retry, chainOf(head), now, policy.jitter),
        now,
      );
}

const chainOf = (head: Head): FailedChain => ({
  chainStartedAt: head.chain.startedAt,
  tenantFaults: head.chain.tenantFaults,
  platformFaults: head.chain.platformFaults,
});

function follow(head: Head, next: Next, now: number): Head {
  return next.kind === 'retry' ? { ...head, state: 'RETRYING', readyAt: next.notBefore } : dead(head, next.reason, now);
}

const dead = (head: Head, reason: DeadReason, now: number): Head => ({
  ...head,
  state: 'DEAD',
  deadReason: reason,
  deadAt: now,
  completedAt: now,
  lease: undefined,
  parked: false,
});

const holds = (head: Head, ref: ClaimRef): boolean => head.lease?.nonce === ref.nonce && head.lease.attempt === ref.attempt;

/** A claim that was undone is known again by its nonce, so that a repeat whose first try was applied is no surprise. */
const undoneNonce = (ref: ClaimRef): string => `${ref.nonce}.back`;

/**
 * Nothing of the attempt had started: the claim is undone, its number used again. Async only: a sync call is nobody's
 * to run but its caller's, so a refused one is withdrawn.
 */
export function giveBack(head: Head | undefined, ref: ClaimRef, back: { readyAt: number; parked: boolean }): Head | undefined {
  if (head?.lastNonce === undoneNonce(ref)) return head;
  if (!head || !holds(head, ref) || head.mode === 'sync') return undefined;
  return {
    ...head,
    ...back,
    state: head.attempts.length > 0 || head.replays > 0 ? 'RETRYING' : 'ACCEPTED',
    attempt: head.attempt - 1,
    lease: undefined,
    lastNonce: undoneNonce(ref),
  };
}

export type WithdrawDecision =
  /** Remove the record and its key. */
  | { kind: 'removed' }
  /** It had been closed by our fault before and had run again under its key: store `head`, closed as it was. */
  | { kind: 'closed'; head: Head }
  | { kind: 'stale' };

/** A sync call that found no slot leaves no trace and uses up no key; what an earlier call left stays. */
export function withdraw(head: Head | undefined, ref: ClaimRef): WithdrawDecision {
  if (head?.lastNonce === undoneNonce(ref)) return { kind: 'closed', head };
  if (!head || !holds(head, ref) || head.mode !== 'sync') return { kind: 'stale' };
  const before = head.attempts.at(-1);
  if (!before) return { kind: 'removed' };
  const closed: Head = {
    ...head,
    state: 'FAILED',
    completedAt: head.lease?.claimedAt,
    attempt: head.attempt - 1,
    lease: undefined,
    error: before.error,
    lastNonce: undoneNonce(ref),
  };
  return { kind: 'closed', head: closed };
}

/** Whether its handler started, and how far it came, nobody can tell any more. */
const lostAttempt = (lease: Lease): Attempt => ({
  attempt: lease.attempt,
  version: '',
  codeSha256: '',
  memoryMb: 0,
  startedAt: lease.claimedAt,
  durationMs: 0,
  billedMs: 0,
  coldStart: false,
  outcome: 'LOST',
  fault: 'platform',
  error: { type: 'Platform.OwnerLost', message: 'The process that ran this attempt ended before the outcome was recorded.' },
});

/** The owner of the lease died: the attempt is lost by our fault, unbilled; it goes on elsewhere or ends by its rules. */
export function takeover(head: Head, now: number, nonce: string): Head {
  const { lease } = head;
  if (!lease) return head;
  const lost = lostAttempt(lease);
  const next: Head = {
    ...head,
    lease: undefined,
    lastNonce: nonce,
    attempts: [...head.attempts, lost],
    error: lost.error,
    chain: { ...head.chain, deaths: head.chain.deaths + 1 },
  };
  if (head.mode === 'sync') return { ...next, state: 'FAILED', completedAt: now };
  if (next.chain.deaths >= DEFAULTS.deathsUntilPoison) return dead(next, 'poison', now);
  return { ...next, state: 'RETRYING', readyAt: now };
}

/**
 * Ends it without another attempt. What has come to its end stays as it is. A sync call fails instead of becoming a dead
 * letter: nobody could run its replay, since only its caller has its payload.
 */
export function bury(head: Head, reason: DeadReason, now: number, nonce: string): Head {
  if (TERMINAL.has(head.state)) return head;
  const attempts = head.lease ? [...head.attempts, lostAttempt(head.lease)] : head.attempts;
  const error = head.error ?? { type: 'Platform.NotRun', message: `It ended without having run: ${reason}.` };
  const ended: Head = head.mode === 'sync' ? { ...head, state: 'FAILED', completedAt: now, lease: undefined } : dead(head, reason, now);
  return { ...ended, attempts, lastNonce: nonce, error };
}

/**
 * A dead letter begins a new chain of attempts under its own request id. Nothing for what is not dead. One replay puts it back
 * once: its repeat finds its own write (the head as it is), or, if that chain has died too, nothing to do.
 */
export function replay(head: Head | undefined, replayId: string, now: number, nonce: string): Head | undefined {
  if (head?.replayId === replayId) return TERMINAL.has(head.state) ? undefined : head;
  if (head?.state !== 'DEAD') return undefined;
  return {
    ...head,
    state: 'RETRYING',
    readyAt: now,
    lastNonce: nonce,
    replays: head.replays + 1,
    replayId,
    completedAt: undefined,
    deadAt: undefined,
    deadReason: undefined,
    chain: { startedAt: now, tenantFaults: 0, platformFaults: 0, deaths: 0 },
  };
}
