import type { TenantId } from '../../core/ids.js';
import type { Adjustment, LedgerEntry, Quantities, UsageSum } from '../../core/metering/model.js';
import { HOUR_MS } from '../../core/metering/month.js';
import type { HourWindow, KeptInvoice, MeteringStore } from '../../core/metering/port.js';
import type { PricePlan } from '../../core/metering/price-plan.js';
import type { AttemptKey, Finding } from '../../core/metering/reconciliation.js';
import type { RollupFault } from '../../core/metering/rollup.js';
import type { Grouping } from '../../core/metering/usage.js';
import type { Database } from '../store/database.js';

/** A busy hour of the ledger is added up in slices, so that no other reader waits long. */
const BUSY_REQUESTS = 20_000;
const SLICE_MS = 15_000;

const NOTHING: Quantities = { requests: 0, billedMs: 0, mbMs: 0n };

/** The ledger in SQLite. Sums are made in the reading thread. */
export class EmbeddedMetering implements MeteringStore {
  constructor(private readonly db: Database) {}

  usage(tenantId: TenantId, window: HourWindow, groupBy: Grouping): Promise<UsageSum[]> {
    return this.db.read('metering.usage', { tenantId, ...window, groupBy });
  }

  invoiceSums(tenantId: TenantId, window: HourWindow): Promise<{ used: UsageSum[]; adjusted: UsageSum[] }> {
    return this.db.read('metering.invoiceSums', { tenantId, ...window });
  }

  months(tenantId: TenantId): Promise<string[]> {
    return this.db.read('metering.months', { tenantId });
  }

  tenantsWithUsage(window: HourWindow): Promise<TenantId[]> {
    return this.db.read('metering.tenantsWithUsage', window);
  }

  plans(): Promise<PricePlan[]> {
    return this.db.read('metering.plans', undefined);
  }

  putPlan(plan: PricePlan): Promise<void> {
    return this.db.write('metering.putPlan', plan);
  }

  async openFromMs(): Promise<number> {
    return ((await this.db.read('metering.state', 'openFromHour')) ?? 0) * HOUR_MS;
  }

  close(untilMs: number): Promise<void> {
    return this.db.write('metering.close', untilMs);
  }

  keptInvoice(tenantId: TenantId, month: string): Promise<KeptInvoice | undefined> {
    return this.db.read('metering.keptInvoice', { tenantId, month });
  }

  keepInvoice(kept: KeptInvoice): Promise<void> {
    return this.db.write('metering.keepInvoice', kept);
  }

  ledger(window: { fromMs: number; toMs: number }, limit: number): Promise<LedgerEntry[]> {
    return this.db.read('metering.ledger', { ...window, limit });
  }

  entries(keys: readonly AttemptKey[]): Promise<(LedgerEntry | undefined)[]> {
    return this.db.read('metering.entries', keys);
  }

  adjust(finding: Finding, at: number): Promise<Adjustment | undefined> {
    return this.db.write('metering.adjust', { finding, at });
  }

  adjustments(tenantId: TenantId, window: HourWindow): Promise<Adjustment[]> {
    return this.db.read('metering.adjustments', { tenantId, ...window });
  }

  async checkRollup(hour: number): Promise<RollupFault[]> {
    const rows = new Map<string, RollupFault>();
    const rowOf = (key: Omit<RollupFault, 'stored' | 'ledger'>): RollupFault => {
      const text = JSON.stringify([key.tenantId, key.functionId, key.version]);
      const row = rows.get(text) ?? { ...key, stored: NOTHING, ledger: NOTHING };
      rows.set(text, row);
      return row;
    };
    const slices: { hour: number; fromMs?: number; toMs?: number }[] = [{ hour }];
    const rollup = await this.db.read('metering.rollup', hour);
    const step = rollup.reduce((sum, row) => sum + row.stored.requests, 0) > BUSY_REQUESTS ? SLICE_MS : HOUR_MS;
    for (let from = hour * HOUR_MS; from < (hour + 1) * HOUR_MS; from += step) slices.push({ hour, fromMs: from, toMs: from + step });
    for (const slice of slices) {
      for (const { ledger, ...key } of await this.db.read('metering.ledgerSlice', slice)) {
        const row = rowOf(key);
        row.ledger = add(row.ledger, ledger);
      }
    }
    for (const { stored, ...key } of rollup) rowOf(key).stored = stored;
    return [...rows.values()].filter(({ stored, ledger }) => !same(stored, ledger));
  }

  mendRollup(fault: RollupFault, at: number): Promise<boolean> {
    return this.db.write('metering.mendRollup', { fault, at });
  }

  meterStarted(at: number): Promise<void> {
    return this.db.write('metering.meterStarted', at);
  }

  meterStarts(): Promise<number[]> {
    return this.db.read('metering.meterStarts', undefined);
  }

  reconciledTo(): Promise<number | undefined> {
    return this.db.read('metering.state', 'reconciledTo');
  }

  setReconciledTo(at: number): Promise<void> {
    return this.db.write('metering.setReconciledTo', at);
  }
}

const add = (a: Quantities, b: Quantities): Quantities => ({
  requests: a.requests + b.requests,
  billedMs: a.billedMs + b.billedMs,
  mbMs: a.mbMs + b.mbMs,
});

const same = (a: Quantities, b: Quantities): boolean => a.requests === b.requests && a.billedMs === b.billedMs && a.mbMs === b.mbMs;
