import type { AuditLog } from '../audit/model.js';
import type { Clock } from '../clock.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { Closing } from './closing.js';
import { DAY_MS, HOUR_MS, hourOf } from './month.js';
import { Reconciler, type ReconcilerParts } from './reconciler.js';
import { type DriftTally, driftOf, type ReconciliationReport } from './reconciliation.js';
import type { RollupFault } from './rollup.js';

export interface UpkeepSettings {
  everyMs: number;
  /** An attempt that ended this long ago is in both ledger and meter, or it will never be. */
  settledAfterMs: number;
  /** Meter files are dropped when they are this old and joined. */
  keepMeterMs: number;
  /** Drift shown is that of the last so many milliseconds. */
  driftWindowMs: number;
  /** Above this share everything of the last day is joined anew, and the drift is audited. */
  driftAlarm: number;
}

export const UPKEEP_DEFAULTS: UpkeepSettings = {
  everyMs: 60_000,
  settledAfterMs: 10_000,
  keepMeterMs: 7 * DAY_MS,
  driftWindowMs: HOUR_MS,
  driftAlarm: 0.001,
};

export interface UpkeepParts extends ReconcilerParts {
  clock: Clock;
  audit: AuditLog;
  closing: Closing;
  /** Told of a run that failed; it is tried again with the next one. */
  onFault(error: unknown): void;
}

export interface UpkeepReport {
  reconciliation: ReconciliationReport;
  /** Of this run, before correction. */
  drift: number;
  /** Hours whose rollups were made again from the ledger, and the rows that differed. */
  rollups: { hours: number; faults: RollupFault[] };
  closedMonths: string[];
}

/** What keeps the bill right by itself: reconciliation, the check of rollups, the closing of months. */
export class BillingUpkeep {
  private readonly reconciler: Reconciler;
  private readonly settings: UpkeepSettings;
  private readonly seen: { at: number; tallies: DriftTally[] }[] = [];
  private queue: Promise<unknown> = Promise.resolve();
  private cancel: (() => void) | undefined;
  private stopped = true;
  private rollupsUntilHour: number | undefined;
  private wideRunAt = Number.NEGATIVE_INFINITY;
  /** The last run that came to its end. */
  last: UpkeepReport | undefined;

  constructor(
    private readonly parts: UpkeepParts,
    settings: Partial<UpkeepSettings> = {},
  ) {
    this.reconciler = new Reconciler(parts);
    this.settings = { ...UPKEEP_DEFAULTS, ...settings };
  }

  /** Marks the meter's new beginning, then runs each minute; the first run begins at once. */
  async start(): Promise<void> {
    this.stopped = false;
    await this.parts.store.meterStarted(this.parts.clock.now());
    this.schedule(0);
  }

  /** Resolves when a run that was under way has ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancel?.();
    await this.queue;
  }

  /**
   * Joins what has settled since the last run, checks the rollups of hours that ended, closes months that are over.
   * With a window, joins that window anew instead (it must be settled), finding also what was changed after an earlier run.
   */
  runOnce(window?: { fromMs: number; toMs: number }): Promise<UpkeepReport> {
    const run = this.queue.then(() => this.run(window));
    this.queue = run.catch(() => undefined);
    return run;
  }

  /** Share of what was metered that was billed wrongly before it was corrected, 0…1. */
  billingDrift(of: { tenantId?: TenantId; functionId?: FunctionId } = {}): number {
    const tallies = this.seen.flatMap((run) => run.tallies);
    return driftOf(
      tallies.filter((tally) => (!of.tenantId || tally.tenantId === of.tenantId) && (!of.functionId || tally.functionId === of.functionId)),
    );
  }

  private schedule(delayMs: number): void {
    if (this.stopped) return;
    this.cancel = this.parts.clock.after(delayMs, () => {
      this.runOnce()
        .catch((error) => this.parts.onFault(error))
        .finally(() => this.schedule(this.settings.everyMs));
    });
  }

  private async run(window: { fromMs: number; toMs: number } | undefined): Promise<UpkeepReport> {
    const now = this.parts.clock.now();
    const settled = now - this.settings.settledAfterMs;
    const since = (await this.parts.store.reconciledTo()) ?? (await this.parts.meter.oldest()) ?? settled;
    const reconciliation = await this.reconciler.reconcile(window ?? { fromMs: Math.min(since, settled), toMs: settled }, now);
    if (!window) await this.parts.store.setReconciledTo(settled);
    this.remember(reconciliation, now);
    const rollups = await this.checkRollups(window ?? { fromMs: now - 3 * HOUR_MS, toMs: settled }, window !== undefined, now);
    const closedMonths = await this.parts.closing.closeDue(now);
    if (!window) await this.parts.meter.prune(Math.min(settled, now - this.settings.keepMeterMs));
    this.last = { reconciliation, drift: driftOf(reconciliation.tallies), rollups, closedMonths };
    await this.react(reconciliation, now);
    return this.last;
  }

  private remember(reconciliation: ReconciliationReport, now: number): void {
    this.seen.push({ at: now, tallies: reconciliation.tallies });
    while (this.seen[0] && this.seen[0].at < now - this.settings.driftWindowMs) this.seen.shift();
  }

  /** Each hour once, after it has settled. */
  private async checkRollups(window: { fromMs: number; toMs: number }, anew: boolean, now: number): Promise<UpkeepReport['rollups']> {
    const end = hourOf(window.toMs);
    const faults: RollupFault[] = [];
    const from = anew ? hourOf(window.fromMs) : (this.rollupsUntilHour ?? hourOf(window.fromMs));
    for (let hour = from; hour < end; hour += 1) {
      for (const fault of await this.parts.store.checkRollup(hour)) {
        if (await this.parts.store.mendRollup(fault, now)) faults.push(fault);
      }
    }
    if (!anew) this.rollupsUntilHour = Math.max(end, this.rollupsUntilHour ?? end);
    return { hours: Math.max(0, end - from), faults };
  }

  /** SPEC 7: drift above 0.1 % starts a reconciliation of all that is recent, at most once an hour. */
  private async react({ tallies }: ReconciliationReport, now: number): Promise<void> {
    const tenants = new Set(tallies.map((tally) => tally.tenantId));
    let alarmed = false;
    for (const tenantId of tenants) {
      const drift = driftOf(tallies.filter((tally) => tally.tenantId === tenantId));
      if (drift <= this.settings.driftAlarm) continue;
      alarmed = true;
      await this.parts.audit.append({ at: now, tenantId, actor: 'platform', action: 'billing.drift', target: tenantId, detail: { drift } });
    }
    if (!alarmed || this.stopped || now - this.wideRunAt < HOUR_MS) return;
    this.wideRunAt = now;
    const oldest = (await this.parts.meter.oldest()) ?? now;
    this.runOnce({ fromMs: Math.max(oldest, now - DAY_MS), toMs: now - this.settings.settledAfterMs }).catch((error) =>
      this.parts.onFault(error),
    );
  }
}
