import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { Adjustment, LedgerEntry } from '../../core/metering/model.js';
import { hourOf } from '../../core/metering/month.js';
import type { KeptInvoice } from '../../core/metering/port.js';
import type { PricePlan } from '../../core/metering/price-plan.js';
import { mbMsOf } from '../../core/metering/quantity.js';
import { adjustmentFor, adjustmentRecord, type Billed, type Finding, keyText } from '../../core/metering/reconciliation.js';
import { type RollupFault, rollupRecord } from '../../core/metering/rollup.js';
import { auditTables } from '../audit/tables.js';
import { closeBefore, insertLedger, openFromHour } from './ledger.js';
import { type AdjustmentRow, type LedgerRow, quantitiesOf } from './rows.js';

const audit = auditTables.steps['audit.append'];

const INSERT_ADJUSTMENT = `
INSERT INTO adjustment (adjustment_id, request_id, attempt, tenant_id, function_id, version, requests, billed_ms, mb_ms, reason, at, hour)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

/** All that is billed for an invocation now, adjustments after the entries that they mend. */
function billedOf(db: DatabaseSyncInstance, requestId: string): { billed: Billed[]; adjustments: number } {
  const entries = db.prepare('SELECT * FROM ledger WHERE request_id = ?').all(requestId) as LedgerRow[];
  const adjustments = db
    .prepare('SELECT *, CAST(mb_ms AS TEXT) AS mb_ms FROM adjustment WHERE request_id = ?')
    .all(requestId) as AdjustmentRow[];
  const billed: Billed[] = entries.map((row) => ({
    attempt: row.attempt,
    quantities: { requests: row.first, billedMs: row.billed_ms, mbMs: mbMsOf(row.memory_mb, row.billed_ms) },
  }));
  for (const row of adjustments) billed.push({ attempt: row.attempt, quantities: quantitiesOf(row) });
  return { billed, adjustments: adjustments.length };
}

function adjust(db: DatabaseSyncInstance, { finding, at }: { finding: Finding; at: number }): Adjustment | undefined {
  const { requestId, attempt, tenantId, functionId, version, drift } = finding;
  const { billed, adjustments } = billedOf(db, requestId);
  const difference = adjustmentFor(billed, attempt, finding.metered);
  if (!difference) return undefined;
  const adjustmentId = `adj_${keyText(finding)}.${adjustments + 1}`;
  const { requests, billedMs, mbMs } = difference;
  db.prepare(INSERT_ADJUSTMENT).run(
    adjustmentId,
    requestId,
    attempt,
    tenantId,
    functionId,
    version,
    requests,
    billedMs,
    mbMs,
    drift,
    at,
    Math.max(hourOf(at), openFromHour(db)),
  );
  const made: Adjustment = { ...difference, adjustmentId, requestId, attempt, tenantId, functionId, version, reason: drift, at };
  audit(db, adjustmentRecord(finding, made));
  return made;
}

const MEND = `
INSERT INTO usage_hour (tenant_id, hour, function_id, version, requests, billed_ms, mb_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO UPDATE SET requests = excluded.requests, billed_ms = excluded.billed_ms, mb_ms = excluded.mb_ms
WHERE requests = ?8 AND billed_ms = ?9 AND mb_ms = ?10`;

function mendRollup(db: DatabaseSyncInstance, { fault, at }: { fault: RollupFault; at: number }): boolean {
  const { tenantId, hour, functionId, version, ledger, stored } = fault;
  const done = db
    .prepare(MEND)
    .run(tenantId, hour, functionId, version, ledger.requests, ledger.billedMs, ledger.mbMs, stored.requests, stored.billedMs, stored.mbMs);
  if (done.changes === 0) return false;
  audit(db, rollupRecord(fault, at));
  return true;
}

const RAISE = `INSERT INTO metering_state (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)`;

const PUT_PLAN = `
INSERT INTO price_plan (effective_from, revision, body)
SELECT ?1, 1 + coalesce(max(revision), 0), ?2 FROM price_plan`;

export const steps = {
  /** For what bills outside an invocation's own step: imports and tests. */
  'metering.bill': (db: DatabaseSyncInstance, entry: LedgerEntry): void => insertLedger(db, entry),
  'metering.adjust': adjust,
  'metering.mendRollup': mendRollup,
  'metering.close': (db: DatabaseSyncInstance, untilMs: number): void => closeBefore(db, hourOf(untilMs)),
  'metering.setReconciledTo': (db: DatabaseSyncInstance, at: number): void => void db.prepare(RAISE).run('reconciledTo', at),
  'metering.meterStarted': (db: DatabaseSyncInstance, at: number): void =>
    void db.prepare('INSERT OR IGNORE INTO metering_boot (at) VALUES (?)').run(at),
  'metering.putPlan': (db: DatabaseSyncInstance, plan: PricePlan): void =>
    void db.prepare(PUT_PLAN).run(plan.effectiveFrom, JSON.stringify(plan)),
  'metering.keepInvoice': (db: DatabaseSyncInstance, kept: KeptInvoice): void =>
    void db
      .prepare('INSERT OR IGNORE INTO invoice (tenant_id, month, body) VALUES (?, ?, ?)')
      .run(kept.invoice.tenantId, kept.invoice.month, JSON.stringify(kept)),
};
