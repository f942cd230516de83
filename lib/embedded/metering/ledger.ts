import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { LedgerEntry } from '../../core/metering/model.js';
import { hourOf } from '../../core/metering/month.js';

/** Nothing counts before this hour any more: its month is closed. */
export const OPEN_FROM = `(SELECT coalesce(max(value), 0) FROM metering_state WHERE key = 'openFromHour')`;

const INSERT_LEDGER = `
INSERT INTO ledger (request_id, attempt, tenant_id, function_id, version, memory_mb, billed_ms, ended_at, hour, first)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, max(?, ${OPEN_FROM}), ?)
ON CONFLICT DO NOTHING RETURNING hour`;

const ADD_USAGE = `
INSERT INTO usage_hour (tenant_id, hour, function_id, version, requests, billed_ms, mb_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, billed_ms = billed_ms + excluded.billed_ms, mb_ms = mb_ms + excluded.mb_ms`;

/**
 * Bills one attempt, inside the transaction that stores its outcome. A repeat of (requestId, attempt) changes nothing.
 * An entry whose month is closed (the clock stepped back) counts in the first hour that is open.
 */
export function insertLedger(db: DatabaseSyncInstance, entry: LedgerEntry): void {
  const { requestId, attempt, tenantId, functionId, version, memoryMb, billedMs, endedAt } = entry;
  const first = entry.first ? 1 : 0;
  const row = db
    .prepare(INSERT_LEDGER)
    .get(requestId, attempt, tenantId, functionId, version, memoryMb, billedMs, endedAt, hourOf(endedAt), first) as
    | { hour: number }
    | undefined;
  if (row) db.prepare(ADD_USAGE).run(tenantId, row.hour, functionId, version, first, billedMs, memoryMb * billedMs);
}
