import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { asFunctionId, asTenantId } from '../../core/ids.js';
import type { Adjustment, LedgerEntry, UsageSum } from '../../core/metering/model.js';
import { HOUR_MS, hourOf } from '../../core/metering/month.js';
import type { HourWindow, KeptInvoice } from '../../core/metering/port.js';
import type { PricePlan } from '../../core/metering/price-plan.js';
import type { AttemptKey } from '../../core/metering/reconciliation.js';
import type { RollupFault } from '../../core/metering/rollup.js';
import type { Grouping } from '../../core/metering/usage.js';
import { type AdjustmentRow, adjustmentOf, type LedgerRow, ledgerEntryOf, quantitiesOf, SUMS, type SumRow } from './rows.js';

/** A day's 24 hours begin at midnight UTC, as epoch hours do. */
const GROUPS: Record<Grouping, string> = {
  function: 'function_id',
  day: `date(hour * 3600, 'unixepoch')`,
  version: 'function_id, version',
};

const SELECTED: Record<Grouping, string> = {
  function: 'function_id',
  day: `date(hour * 3600, 'unixepoch') AS day`,
  version: 'function_id, version',
};

const COLUMNS = 'tenant_id, hour, function_id, version, requests, billed_ms, mb_ms';
const IN_WINDOW = 'WHERE tenant_id = ?1 AND hour >= ?2 AND hour < ?3';

interface TenantWindow extends HourWindow {
  tenantId: string;
}

const span = ({ tenantId, fromMs, toMs }: TenantWindow): [string, number, number] => [tenantId, hourOf(fromMs), hourOf(toMs)];

type GroupRow = SumRow & { function_id?: string; version?: string; day?: string };

const sumOf = (row: GroupRow): UsageSum => ({
  ...quantitiesOf(row),
  functionId: asFunctionId(row.function_id ?? ''),
  version: row.version,
  day: row.day,
});

function usage(db: DatabaseSyncInstance, input: TenantWindow & { groupBy: Grouping }): UsageSum[] {
  const both = `SELECT ${COLUMNS} FROM usage_hour ${IN_WINDOW} UNION ALL SELECT ${COLUMNS} FROM adjustment ${IN_WINDOW}`;
  const sql = `SELECT ${SELECTED[input.groupBy]}, ${SUMS} FROM (${both}) GROUP BY ${GROUPS[input.groupBy]}`;
  return (db.prepare(sql).all(...span(input)) as GroupRow[]).map(sumOf);
}

function invoiceSums(db: DatabaseSyncInstance, input: TenantWindow): { used: UsageSum[]; adjusted: UsageSum[] } {
  const of = (table: string) =>
    (db.prepare(`SELECT function_id, ${SUMS} FROM ${table} ${IN_WINDOW} GROUP BY function_id`).all(...span(input)) as GroupRow[]).map(
      sumOf,
    );
  return { used: of('usage_hour'), adjusted: of('adjustment') };
}

/** Steps from month to month by the index: a tenant's hours need not all be read. */
function months(db: DatabaseSyncInstance, { tenantId }: { tenantId: string }): string[] {
  const found = new Set<string>();
  for (const table of ['usage_hour', 'adjustment']) {
    const next = db.prepare(`SELECT min(hour) AS hour FROM ${table} WHERE tenant_id = ? AND hour >= ?`);
    for (let from = 0; ; ) {
      const { hour } = next.get(tenantId, from) as { hour: number | null };
      if (hour === null) break;
      const at = new Date(hour * HOUR_MS);
      found.add(at.toISOString().slice(0, 7));
      from = hourOf(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1));
    }
  }
  return [...found].sort().reverse();
}

const TENANTS = `
SELECT tenant_id FROM usage_hour WHERE hour >= ?1 AND hour < ?2
UNION SELECT tenant_id FROM adjustment WHERE hour >= ?1 AND hour < ?2 ORDER BY 1`;

function state(db: DatabaseSyncInstance, key: string): number | undefined {
  const row = db.prepare('SELECT value FROM metering_state WHERE key = ?').get(key) as { value: number } | undefined;
  return row?.value;
}

function ledger(db: DatabaseSyncInstance, { fromMs, toMs, limit }: { fromMs: number; toMs: number; limit: number }): LedgerEntry[] {
  const until = db
    .prepare('SELECT ended_at FROM ledger WHERE ended_at >= ? AND ended_at < ? ORDER BY ended_at LIMIT 1 OFFSET ?')
    .get(fromMs, toMs, limit - 1) as { ended_at: number } | undefined;
  const end = until ? until.ended_at + 1 : toMs;
  const rows = db.prepare('SELECT * FROM ledger WHERE ended_at >= ? AND ended_at < ? ORDER BY ended_at').all(fromMs, end);
  return (rows as LedgerRow[]).map(ledgerEntryOf);
}

function entries(db: DatabaseSyncInstance, keys: readonly AttemptKey[]): (LedgerEntry | undefined)[] {
  const find = db.prepare('SELECT * FROM ledger WHERE request_id = ? AND attempt = ?');
  return keys.map(({ requestId, attempt }) => {
    const row = find.get(requestId, attempt) as LedgerRow | undefined;
    return row && ledgerEntryOf(row);
  });
}

const ADJUSTMENTS = `SELECT *, CAST(mb_ms AS TEXT) AS mb_ms FROM adjustment ${IN_WINDOW} ORDER BY at, adjustment_id`;

type RollupRow = SumRow & { tenant_id: string; function_id: string; version: string };
const ROLLUP_KEY = 'tenant_id, function_id, version';

/** What a part of the hour adds up to in the ledger: entries that ended in it, or those that were moved into it. */
const LEDGER_SUMS = `
SELECT ${ROLLUP_KEY}, sum(first) AS requests, sum(billed_ms) AS billed_ms, CAST(sum(memory_mb * billed_ms) AS TEXT) AS mb_ms FROM ledger`;

interface LedgerSlice {
  hour: number;
  /** Absent: the entries that ended in another hour and count in this one. */
  fromMs?: number;
  toMs?: number;
}

function ledgerSlice(db: DatabaseSyncInstance, { hour, fromMs, toMs }: LedgerSlice): Omit<RollupFault, 'stored'>[] {
  const rows =
    fromMs === undefined || toMs === undefined
      ? db.prepare(`${LEDGER_SUMS} WHERE hour = ? AND hour <> ended_at / 3600000 GROUP BY ${ROLLUP_KEY}`).all(hour)
      : db.prepare(`${LEDGER_SUMS} WHERE ended_at >= ? AND ended_at < ? AND hour = ? GROUP BY ${ROLLUP_KEY}`).all(fromMs, toMs, hour);
  return (rows as RollupRow[]).map((row) => ({ ...keyOf(row), hour, ledger: quantitiesOf(row) }));
}

function rollup(db: DatabaseSyncInstance, hour: number): Omit<RollupFault, 'ledger'>[] {
  const sql = `SELECT ${ROLLUP_KEY}, requests, billed_ms, CAST(mb_ms AS TEXT) AS mb_ms FROM usage_hour WHERE hour = ?`;
  return (db.prepare(sql).all(hour) as RollupRow[]).map((row) => ({ ...keyOf(row), hour, stored: quantitiesOf(row) }));
}

const keyOf = (row: RollupRow) => ({
  tenantId: asTenantId(row.tenant_id),
  functionId: asFunctionId(row.function_id),
  version: row.version,
});

export const queries = {
  'metering.usage': usage,
  'metering.invoiceSums': invoiceSums,
  'metering.months': months,
  'metering.tenantsWithUsage': (db: DatabaseSyncInstance, { fromMs, toMs }: HourWindow) =>
    (db.prepare(TENANTS).all(hourOf(fromMs), hourOf(toMs)) as { tenant_id: string }[]).map((row) => asTenantId(row.tenant_id)),
  'metering.plans': (db: DatabaseSyncInstance, _: undefined): PricePlan[] =>
    (db.prepare('SELECT body FROM price_plan ORDER BY revision').all() as { body: string }[]).map((row) => JSON.parse(row.body)),
  'metering.state': state,
  'metering.keptInvoice': (db: DatabaseSyncInstance, input: { tenantId: string; month: string }): KeptInvoice | undefined => {
    const row = db.prepare('SELECT body FROM invoice WHERE tenant_id = ? AND month = ?').get(input.tenantId, input.month);
    return row ? JSON.parse((row as { body: string }).body) : undefined;
  },
  'metering.ledger': ledger,
  'metering.entries': entries,
  'metering.adjustments': (db: DatabaseSyncInstance, input: TenantWindow): Adjustment[] =>
    (db.prepare(ADJUSTMENTS).all(...span(input)) as AdjustmentRow[]).map(adjustmentOf),
  'metering.ledgerSlice': ledgerSlice,
  'metering.rollup': rollup,
  'metering.meterStarts': (db: DatabaseSyncInstance, _: undefined): number[] =>
    (db.prepare('SELECT at FROM metering_boot ORDER BY at').all() as { at: number }[]).map((row) => row.at),
};
