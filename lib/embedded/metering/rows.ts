import { asFunctionId, asRequestId, asTenantId } from '../../core/ids.js';
import type { Adjustment, Drift, LedgerEntry, Quantities } from '../../core/metering/model.js';

/** Rows as SQLite gives them. Sums of `mb_ms` come as text: they may pass what a double holds. */
export interface SumRow {
  requests: number;
  billed_ms: number;
  mb_ms: string;
}

export const SUMS = 'sum(requests) AS requests, sum(billed_ms) AS billed_ms, CAST(sum(mb_ms) AS TEXT) AS mb_ms';

export const quantitiesOf = (row: SumRow): Quantities => ({ requests: row.requests, billedMs: row.billed_ms, mbMs: BigInt(row.mb_ms) });

export interface LedgerRow {
  request_id: string;
  attempt: number;
  tenant_id: string;
  function_id: string;
  version: string;
  memory_mb: number;
  billed_ms: number;
  ended_at: number;
  first: number;
}

export const ledgerEntryOf = (row: LedgerRow): LedgerEntry => ({
  requestId: asRequestId(row.request_id),
  attempt: row.attempt,
  tenantId: asTenantId(row.tenant_id),
  functionId: asFunctionId(row.function_id),
  version: row.version,
  memoryMb: row.memory_mb,
  billedMs: row.billed_ms,
  endedAt: row.ended_at,
  first: row.first === 1,
});

export interface AdjustmentRow extends SumRow {
  adjustment_id: string;
  request_id: string;
  attempt: number;
  tenant_id: string;
  function_id: string;
  version: string;
  reason: string;
  at: number;
}

export const adjustmentOf = (row: AdjustmentRow): Adjustment => ({
  ...quantitiesOf(row),
  adjustmentId: row.adjustment_id,
  requestId: asRequestId(row.request_id),
  attempt: row.attempt,
  tenantId: asTenantId(row.tenant_id),
  functionId: asFunctionId(row.function_id),
  version: row.version,
  reason: row.reason as Drift,
  at: row.at,
});
