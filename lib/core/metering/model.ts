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
