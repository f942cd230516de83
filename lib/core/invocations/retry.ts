import { DEFAULTS } from '../defaults.js';
import type { RetryPolicy } from '../functions/model.js';
import type { DeadReason } from './model.js';

export type Next = { kind: 'retry'; notBefore: number } | { kind: 'dead'; reason: DeadReason };

/** What the chain had seen before the attempt that failed now. */
export interface FailedChain {
  chainStartedAt: number;
  tenantFaults: number;
  platformFaults: number;
}

/** Decides what follows a failure of the tenant's code. Pure: the caller stores the decision. */
export function afterTenantFault(policy: RetryPolicy, chain: FailedChain, now: number, jitter: number): Next {
  if (chain.tenantFaults >= policy.maxRetries) return { kind: 'dead', reason: 'max_retries' };
  if (now - chain.chainStartedAt > policy.maxAgeSec * 1000) return { kind: 'dead', reason: 'max_age' };
  return { kind: 'retry', notBefore: now + backoffMs(policy.baseDelayMs, chain.tenantFaults, jitter) };
}

/** Our own failures have a budget of their own, so that they never use up the tenant's retries. */
export function afterPlatformFault(chain: FailedChain, now: number, jitter: number): Next {
  if (chain.platformFaults + 1 >= DEFAULTS.platformFaultBudget) return { kind: 'dead', reason: 'platform_fault' };
  return { kind: 'retry', notBefore: now + backoffMs(200, chain.platformFaults, jitter) };
}

/** The longest wait between two attempts: without it, 2^n of a long chain would outlive the record itself. */
const MAX_BACKOFF_MS = 3_600_000;

/**
 * base * 2^n, spread over [50 %, 100 %] so that a recovered dependency is not hit by all callers at once
 * ("equal jitter": AWS Architecture Blog, Exponential Backoff And Jitter).
 */
export function backoffMs(baseDelayMs: number, retriesDone: number, jitter: number): number {
  return Math.round(Math.min(baseDelayMs * 2 ** Math.min(retriesDone, 30), MAX_BACKOFF_MS) * (0.5 + jitter / 2));
}
