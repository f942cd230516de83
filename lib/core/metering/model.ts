import type { FunctionId, RequestId, TenantId } from '../ids.js';

/**
 * One billable attempt: immutable, written together with its outcome, keyed (requestId, attempt).
 * A repeat of that key counts once.
 */
export interface LedgerEntry {
  requestId: RequestId;
  attempt: number;
  tenantId: TenantId;
  functionId: FunctionId;
  version: string;
  memoryMb: number;
  /** Handler time rounded up to whole ms, at least 1. */
  billedMs: number;
  /** Epoch ms of the attempt's end: decides the billing month. */
  endedAt: number;
  /** True on the invocation's first billed attempt: `requests` counts these. */
  first: boolean;
}

/** What an invoker measured, written by it alone, apart from the ledger. The witness of reconciliation. */
export interface MeterEntry {
  requestId: RequestId;
  attempt: number;
  tenantId: TenantId;
  functionId: FunctionId;
  version: string;
  memoryMb: number;
  /** 0 where the fault was the platform's. */
  billedMs: number;
  endedAt: number;
}

/** `max(1, ceil(durationMs))`: SPEC 2, "Contract details". */
export const billedMsOf = (durationMs: number): number => Math.max(1, Math.ceil(durationMs));

/** Quantities that add up without rounding. `mbMs` is megabytes * milliseconds. */
export interface Quantities {
  requests: number;
  billedMs: number;
  mbMs: bigint;
}

/** Usage of one function (and day or version, by the question asked) in a window, adjustments apart. */
export interface UsageSum extends Quantities {
  functionId: FunctionId;
  version?: string;
  /** `2026-11-20`. */
  day?: string;
}

export const DRIFTS = ['missing', 'extra', 'differing'] as const;
/** `missing`: metered and not billed. `extra`: billed and not metered. `differing`: billed otherwise than metered. */
export type Drift = (typeof DRIFTS)[number];

/** An append-only correction, signed. It counts in the month in which it is made, never in one that is closed. */
export interface Adjustment extends Quantities {
  adjustmentId: string;
  requestId: RequestId;
  attempt: number;
  tenantId: TenantId;
  functionId: FunctionId;
  version: string;
  reason: Drift;
  /** Epoch ms. */
  at: number;
}
