import type { TenantId } from '../ids.js';
import type { Invoice } from './invoice.js';
import type { Adjustment, LedgerEntry, MeterEntry, UsageSum } from './model.js';
import type { PricePlan } from './price-plan.js';
import type { AttemptKey, Finding } from './reconciliation.js';
import type { RollupFault } from './rollup.js';
import type { Grouping } from './usage.js';

/** Both ends on whole hours; `toMs` is not part of it. */
export interface HourWindow {
  fromMs: number;
  toMs: number;
}

/** A closed invoice as it is kept, with the digest of the ledger's sums at its closing. */
export interface KeptInvoice {
  invoice: Invoice;
  ledgerDigest: string;
}

/**
 * The ledger with its rollups, adjustments, prices and closed invoices. Entries themselves are written by the steps that
 * record outcomes, in the same transaction. test/contract/metering.spec.ts holds every adapter to this.
 */
export interface MeteringStore {
  /** Sums of the window by function, day or version, adjustments made in it included. */
  usage(tenantId: TenantId, window: HourWindow, groupBy: Grouping): Promise<UsageSum[]>;
  /** By function, ledger and adjustments apart. */
  invoiceSums(tenantId: TenantId, window: HourWindow): Promise<{ used: UsageSum[]; adjusted: UsageSum[] }>;
  /** Months with usage or adjustments, newest first, `2026-11`. */
  months(tenantId: TenantId): Promise<string[]>;
  tenantsWithUsage(window: HourWindow): Promise<TenantId[]>;

  /** In the order in which they were stored. */
  plans(): Promise<PricePlan[]>;
  putPlan(plan: PricePlan): Promise<void>;

  /** Nothing counts before this instant any more; 0 while no month was closed. */
  openFromMs(): Promise<number>;
  /** From now on nothing counts before `untilMs`. It only ever rises. */
  close(untilMs: number): Promise<void>;
  keptInvoice(tenantId: TenantId, month: string): Promise<KeptInvoice | undefined>;
  /** The first one kept stays. */
  keepInvoice(kept: KeptInvoice): Promise<void>;

  /** Ledger entries whose attempts ended in the window, ordered by end; at most `limit`, ties of the last instant included. */
  ledger(window: { fromMs: number; toMs: number }, limit: number): Promise<LedgerEntry[]>;
  entries(keys: readonly AttemptKey[]): Promise<(LedgerEntry | undefined)[]>;
  /** Makes the bill equal to what was metered, by what is billed at that instant, with its audit record; undefined where it was equal already. */
  adjust(finding: Finding, at: number): Promise<Adjustment | undefined>;
  adjustments(tenantId: TenantId, window: HourWindow): Promise<Adjustment[]>;

  /** Rows of that hour that differ from the sum of their ledger entries. */
  checkRollup(hour: number): Promise<RollupFault[]>;
  /** Sets the row to what the ledger says, with an audit record, if it still is as it was seen. */
  mendRollup(fault: RollupFault, at: number): Promise<boolean>;

  /** Remembers that a meter began to write, and tells of all that did. */
  meterStarted(at: number): Promise<void>;
  meterStarts(): Promise<number[]>;
  /** Up to here ledger and meter were joined; undefined before the first time. */
  reconciledTo(): Promise<number | undefined>;
  setReconciledTo(at: number): Promise<void>;
}

/** Reads what the invokers measured. */
export interface MeterReader {
  /** Entries whose attempts ended in the window, in the order in which they were written. */
  read(window: { fromMs: number; toMs: number }): AsyncIterable<MeterEntry[]>;
  /** Of these attempts, those that any meter file between the two instants names. */
  find(keys: ReadonlySet<string>, window: { fromMs: number; toMs: number }): Promise<MeterEntry[]>;
  /** Whether the hour (epoch hours) has a meter file at all. */
  hasHour(hour: number): Promise<boolean>;
  /** End of the last entry written before `at`, epoch ms. */
  lastEndBefore(at: number): Promise<number | undefined>;
  /** Epoch ms of the oldest hour there is. */
  oldest(): Promise<number | undefined>;
  /** Drops whole hours that ended before `at`. */
  prune(at: number): Promise<void>;
}
