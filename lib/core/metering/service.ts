import type { AuditLog } from '../audit/model.js';
import type { Clock } from '../clock.js';
import type { TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import { invalidField, notFound } from '../refusal.js';
import type { Principal } from '../tenancy/model.js';
import type { Closing } from './closing.js';
import { addUp, type Invoice } from './invoice.js';
import type { Adjustment } from './model.js';
import { byMonth, DAY_MS, isMonth, monthEnd, monthOf, monthStart } from './month.js';
import type { MeteringStore } from './port.js';
import { checkPlan, type PricePlan, planFor } from './price-plan.js';
import type { BillingUpkeep, UpkeepReport } from './upkeep.js';
import { type UsageReport, usageReport, usageWindow } from './usage.js';

export interface MeteringParts {
  store: MeteringStore;
  closing: Closing;
  upkeep: BillingUpkeep;
  audit: AuditLog;
  clock: Clock;
}

const MAX_RECONCILED_MS = 7 * DAY_MS;

/** Usage, invoices and prices as routes use them. What a caller did wrong is thrown as Refusal. */
export class Metering {
  constructor(private readonly parts: MeteringParts) {}

  async usage(tenantId: TenantId, query: { from?: string; to?: string; groupBy?: string }): Promise<UsageReport> {
    const window = usageWindow(query, this.parts.clock.now());
    const plans = await this.parts.store.plans();
    const months = byMonth(window.fromMs, window.toMs).map(async (part) => {
      const start = monthStart(part.month);
      const before = part.fromMs > start ? await this.parts.store.usage(tenantId, { fromMs: start, toMs: part.fromMs }, 'function') : [];
      return {
        plan: planFor(part.month, plans),
        before: addUp(before),
        sums: await this.parts.store.usage(tenantId, part, window.groupBy),
      };
    });
    return usageReport(window, await Promise.all(months));
  }

  /** Months with usage, newest first, the running one always among them. */
  async invoices(tenantId: TenantId, { limit, cursor }: PageQuery): Promise<Page<Invoice>> {
    const now = this.parts.clock.now();
    if (cursor !== undefined && !isMonth(cursor)) throw invalidField('cursor', 'is none that this list gave');
    const months = [...new Set([monthOf(now), ...(await this.parts.store.months(tenantId))])]
      .filter((month) => cursor === undefined || month < cursor)
      .sort()
      .reverse();
    const page = months.slice(0, limit);
    const invoices = await Promise.all(page.map((month) => this.parts.closing.invoice(tenantId, month, now)));
    return { items: invoices.filter((each) => each !== undefined), nextCursor: months.length > limit ? page.at(-1) : undefined };
  }

  async invoice(tenantId: TenantId, month: string): Promise<Invoice> {
    if (!isMonth(month)) throw invalidField('month', 'is no month', 'such as 2026-11');
    const invoice = await this.parts.closing.invoice(tenantId, month, this.parts.clock.now());
    if (!invoice) throw notFound('invoice', month);
    return invoice;
  }

  /** A closed month made again from the ledger: whether it still is what was invoiced. */
  verify(tenantId: TenantId, month: string): Promise<'same' | 'differs' | 'notClosed'> {
    return this.parts.closing.verify(tenantId, month);
  }

  /** Corrections that count in the month. */
  adjustments(tenantId: TenantId, month: string): Promise<Adjustment[]> {
    if (!isMonth(month)) throw invalidField('month', 'is no month', 'such as 2026-11');
    return this.parts.store.adjustments(tenantId, { fromMs: monthStart(month), toMs: monthEnd(month) });
  }

  /** The plan of the running month, and those that will follow it. */
  async pricePlan(): Promise<{ current: PricePlan; upcoming: PricePlan[] }> {
    const month = monthOf(this.parts.clock.now());
    const plans = await this.parts.store.plans();
    const starts = [...new Set(plans.map((plan) => plan.effectiveFrom))].filter((start) => start > month).sort();
    return { current: planFor(month, plans), upcoming: starts.map((start) => planFor(start, plans)) };
  }

  async putPricePlan(who: Principal, input: Omit<PricePlan, 'effectiveFrom'> & { effectiveFrom?: string }): Promise<PricePlan> {
    const now = this.parts.clock.now();
    const plan: PricePlan = { ...input, effectiveFrom: input.effectiveFrom ?? monthOf(now) };
    checkPlan(plan, monthOf(now));
    const plans = await this.parts.store.plans();
    await this.parts.store.putPlan(plan);
    await this.parts.audit.append({
      at: now,
      tenantId: who.tenantId,
      actor: who.keyId,
      action: 'priceplan.put',
      target: plan.effectiveFrom,
      detail: { before: planFor(plan.effectiveFrom, plans), after: plan },
    });
    return plan;
  }

  /** Joins ledger and meter now: what has settled since the last run, or a window anew. */
  reconcile(window?: { fromMs: number; toMs: number }): Promise<UpkeepReport> {
    if (window && window.fromMs >= window.toMs) throw invalidField('to', 'must lie after from');
    if (window && window.toMs > this.parts.clock.now()) throw invalidField('to', 'lies in the future');
    if (window && window.toMs - window.fromMs > MAX_RECONCILED_MS)
      throw invalidField('from', 'lies too far before to', `at most ${MAX_RECONCILED_MS / DAY_MS} days: meters are not kept longer`);
    return this.parts.upkeep.runOnce(window);
  }

  /** Of all tenants in the last hour, 0…1. */
  billingDrift(): number {
    return this.parts.upkeep.billingDrift();
  }

  lastRun(): UpkeepReport | undefined {
    return this.parts.upkeep.last;
  }
}
