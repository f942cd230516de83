import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { LedgerEntry } from '../../core/metering/model.js';
import { hourOf } from '../../core/metering/month.js';

const OPEN_FROM = `SELECT value FROM metering_state WHERE key = 'openFromHour'`;

/** By connection: asking for each entry would cost a third of what billing it does. */
const openFrom = new WeakMap<DatabaseSyncInstance, number>();

/** Nothing counts before this hour (epoch hours) any more: its month is closed. */
export function openFromHour(db: DatabaseSyncInstance): number {
  let hour = openFrom.get(db);
  if (hour === undefined) {
    hour = (db.prepare(OPEN_FROM).get() as { value: number } | undefined)?.value ?? 0;
    openFrom.set(db, hour);
  }
  return hour;
}

/**
 * Closes all before this hour; the border only ever rises. Were this write rolled back after another step had asked for
 * the border, that connection would count late entries of the month in the next one: as it would once the month is closed.
 */
export function closeBefore(db: DatabaseSyncInstance, hour: number): void {
  db.prepare(
    `INSERT INTO metering_state (key, value) VALUES ('openFromHour', ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)`,
  ).run(hour);
  openFrom.delete(db);
}

const INSERT_LEDGER = `
INSERT INTO ledger (request_id, attempt, tenant_id, function_id, version, memory_mb, billed_ms, ended_at, hour, first)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`;

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
  const hour = Math.max(hourOf(endedAt), openFromHour(db));
  const { changes } = db
    .prepare(INSERT_LEDGER)
    .run(requestId, attempt, tenantId, functionId, version, memoryMb, billedMs, endedAt, hour, first);
  if (changes === 1) db.prepare(ADD_USAGE).run(tenantId, hour, functionId, version, first, billedMs, memoryMb * billedMs);
}
