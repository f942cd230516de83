import { DEFAULTS } from '../defaults.js';
import type { SlotEnd, SlotSpec } from '../scheduling/port.js';
import type { AttemptEnd, FaultOwner, Outcome, Stored } from './model.js';

/** A slot's end that is an attempt: something ran, or our failure to run it counts against our own budget. */
export type CountedEnd = Exclude<SlotEnd, { kind: 'busy' }>;

const MEANING: Record<CountedEnd['kind'], { outcome: Outcome; fault: FaultOwner | null }> = {
  succeeded: { outcome: 'SUCCEEDED', fault: null },
  failed: { outcome: 'FAILED', fault: 'tenant' },
  timedOut: { outcome: 'TIMED_OUT', fault: 'tenant' },
  initFailed: { outcome: 'FAILED', fault: 'tenant' },
  lost: { outcome: 'LOST', fault: 'platform' },
  notStarted: { outcome: 'FAILED', fault: 'platform' },
};

/** What is recorded of an attempt: whose fault it was stands in one table. */
export function attemptEnd(
  spec: Pick<SlotSpec, 'version' | 'codeSha256' | 'memoryMb'>,
  end: CountedEnd,
  result: Stored | undefined,
  now: number,
): AttemptEnd {
  const ran = end.kind === 'notStarted' ? { startedAt: now, durationMs: 0, coldStart: false } : end;
  return {
    attempt: {
      version: spec.version,
      codeSha256: spec.codeSha256,
      memoryMb: spec.memoryMb,
      startedAt: ran.startedAt,
      // Code that could not be loaded never reached its handler: there is no handler time.
      durationMs: end.kind === 'initFailed' ? 0 : ran.durationMs,
      coldStart: ran.coldStart,
      ...MEANING[end.kind],
      error: 'error' in end ? end.error : undefined,
    },
    result,
  };
}

/** When a claim made now is void, whatever its owner says: slot wait, init, handler and grace. */
export const voidAtOf = (now: number, timeoutSec: number): number =>
  now + DEFAULTS.slotWaitMs + DEFAULTS.initTimeoutMs + timeoutSec * 1000 + DEFAULTS.leaseGraceMs;

/** JSON that surely fits a row is kept as it is, without asking the store: the common case costs nothing. */
export const SMALL_JSON_CHARS = DEFAULTS.rowPayloadBytes / 4;
