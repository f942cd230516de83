import type { AuditRecord } from '../audit/model.js';
import type { FunctionId, RequestId, TenantId } from '../ids.js';
import type { Attempt, Head } from '../invocations/model.js';
import type { Adjustment, Drift, LedgerEntry, MeterEntry, Quantities } from './model.js';
import { gbSecOf, mbMsOf } from './quantity.js';

/** An attempt, as ledger and meter both name it. */
export interface AttemptKey {
  requestId: RequestId;
  attempt: number;
}

export const keyText = (key: AttemptKey): string => `${key.requestId}.${key.attempt}`;

/** A pair that did not agree, before it is known why. */
export type Mismatch =
  | { kind: 'notBilled'; metered: MeterEntry }
  | { kind: 'notMetered'; billed: LedgerEntry }
  | { kind: 'differing'; metered: MeterEntry; billed: LedgerEntry };

/**
 * Joins what was billed with what ran, by (requestId, attempt). Entries that agree are dropped at once. An attempt that
 * was metered at 0 ms (our own fault) and not billed agrees.
 */
export function compare(billed: readonly LedgerEntry[], metered: readonly MeterEntry[]): Mismatch[] {
  const open = new Map(billed.map((entry) => [keyText(entry), entry]));
  const seen = new Set<string>();
  const mismatches: Mismatch[] = [];
  for (const meter of metered) {
    const key = keyText(meter);
    // The meter's line may be written twice around a crash; the first counts.
    if (seen.has(key)) continue;
    seen.add(key);
    const ledger = open.get(key);
    open.delete(key);
    if (ledger && !sameBill(ledger, meter)) mismatches.push({ kind: 'differing', metered: meter, billed: ledger });
    if (!ledger && meter.billedMs > 0) mismatches.push({ kind: 'notBilled', metered: meter });
  }
  for (const entry of open.values()) mismatches.push({ kind: 'notMetered', billed: entry });
  return mismatches;
}

const sameBill = (a: LedgerEntry, b: MeterEntry): boolean => a.billedMs === b.billedMs && a.memoryMb === b.memoryMb;

/** Why an attempt ran and is not billed, by its invocation's own record. */
export type Unbilled =
  /** Recorded as billable, and the ledger lacks it: drift. */
  | 'missing'
  /** Its completion was lost with a crash, or came too late to count: nobody is billed, by contract (SPEC 2 and 3). */
  | 'unrecorded'
  /** Recorded, and by its rules free: our own fault, or code that never reached its handler. */
  | 'free'
  /** Still running by its record: the completion may yet come. */
  | 'pending';

/**
 * A keyless synchronous call leaves no record when the process dies before its one write: the caller saw a broken
 * connection. A durable one shows the attempt as LOST once its lease was taken over.
 */
export function whyUnbilled(head: Pick<Head, 'attempts' | 'lease'> | undefined, attempt: number): Unbilled {
  const recorded = head?.attempts.find((a) => a.attempt === attempt);
  if (recorded) return verdict(recorded);
  return head?.lease?.attempt === attempt ? 'pending' : 'unrecorded';
}

function verdict(recorded: Attempt): Unbilled {
  if (recorded.outcome === 'LOST') return 'unrecorded';
  return recorded.billedMs > 0 ? 'missing' : 'free';
}

/** What one attempt is billed in all: its ledger entry and every adjustment of it. */
export interface Billed {
  attempt: number;
  quantities: Quantities;
}

/**
 * The adjustment that makes an attempt's bill equal to what was metered (0 where nothing ran); undefined when it is equal
 * already, so that a repeat adjusts nothing. `requests` follows from the whole invocation: 1 if anything of it is billed.
 */
export function adjustmentFor(
  billed: readonly Billed[],
  attempt: number,
  metered: { memoryMb: number; billedMs: number } | undefined,
): Quantities | undefined {
  const mine = total(billed.filter((b) => b.attempt === attempt));
  const others = total(billed.filter((b) => b.attempt !== attempt));
  const wanted = metered ?? { memoryMb: 0, billedMs: 0 };
  const requests = others.billedMs + wanted.billedMs > 0 ? 1 : 0;
  const difference: Quantities = {
    requests: requests - mine.requests - others.requests,
    billedMs: wanted.billedMs - mine.billedMs,
    mbMs: mbMsOf(wanted.memoryMb, wanted.billedMs) - mine.mbMs,
  };
  return difference.billedMs === 0 && difference.mbMs === 0n ? undefined : difference;
}

const total = (billed: readonly Billed[]): Quantities =>
  billed.reduce(
    (sum, { quantities: q }) => ({ requests: sum.requests + q.requests, billedMs: sum.billedMs + q.billedMs, mbMs: sum.mbMs + q.mbMs }),
    { requests: 0, billedMs: 0, mbMs: 0n },
  );

/** One disagreement that is drift, and how it is mended. */
export interface Finding extends AttemptKey {
  drift: Drift;
  tenantId: TenantId;
  functionId: FunctionId;
  version: string;
  /** What should be billed; absent where nothing ran. */
  metered?: { memoryMb: number; billedMs: number };
}

/** Written in one step with the adjustment. */
export const adjustmentRecord = (finding: Finding, made: Adjustment): AuditRecord => ({
  at: made.at,
  tenantId: made.tenantId,
  actor: 'platform',
  action: 'billing.adjust',
  target: made.adjustmentId,
  detail: {
    reason: finding.drift,
    requestId: made.requestId,
    attempt: made.attempt,
    functionId: made.functionId,
    metered: finding.metered ? { memoryMb: finding.metered.memoryMb, billedMs: finding.metered.billedMs } : null,
    requests: made.requests,
    billedMs: made.billedMs,
    gbSec: gbSecOf(made.mbMs),
  },
});

/** How much ran and how far the bill was off, of one function in one run. */
export interface DriftTally {
  tenantId: TenantId;
  functionId: FunctionId;
  meteredMbMs: bigint;
  driftMbMs: bigint;
}

export interface ReconciliationReport {
  /** The window of ends that was joined, epoch ms. */
  fromMs: number;
  toMs: number;
  metered: number;
  billed: number;
  findings: Finding[];
  /** Adjustments made by this run. */
  adjusted: Adjustment[];
  /** Ran, and the record of it was lost with a crash: billed to nobody. */
  unrecorded: number;
  /** Recorded as free. */
  free: number;
  /** Not decided yet; looked at again by a later run. */
  pending: number;
  /** Billed where the meter's own lines were lost (a crash, a file that is gone): left as billed. */
  unwitnessed: number;
  tallies: DriftTally[];
}

export const newReport = (fromMs: number, toMs: number): ReconciliationReport => ({
  fromMs,
  toMs,
  metered: 0,
  billed: 0,
  findings: [],
  adjusted: [],
  unrecorded: 0,
  free: 0,
  pending: 0,
  unwitnessed: 0,
  tallies: [],
});

/** |difference| / metered, 0…1. Something billed where nothing ran at all is a drift of 1. */
export function driftOf(tallies: readonly Pick<DriftTally, 'meteredMbMs' | 'driftMbMs'>[]): number {
  let metered = 0n;
  let drift = 0n;
  for (const tally of tallies) {
    metered += tally.meteredMbMs;
    drift += tally.driftMbMs;
  }
  if (drift === 0n) return 0;
  return metered === 0n ? 1 : Math.min(1, Number(drift) / Number(metered));
}

export const meteredMbMs = (entry: MeterEntry): bigint => mbMsOf(entry.memoryMb, entry.billedMs);
