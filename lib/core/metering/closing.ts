import type { TenantId } from '../ids.js';
import { type FunctionSum, type Invoice, ledgerDigestText, makeInvoice } from './invoice.js';
import type { UsageSum } from './model.js';
import { HOUR_MS, monthEnd, monthOf, monthStart, nextMonth } from './month.js';
import type { KeptInvoice, MeteringStore } from './port.js';
import { planFor } from './price-plan.js';

/** After a month's end, so that what ended in its last instant is in the ledger, and was reconciled. */
const CLOSES_AFTER_MS = HOUR_MS;

export interface ClosingParts {
  store: MeteringStore;
  /** Names of functions, of those that still exist. */
  namesOf(tenantId: TenantId, functionIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** sha256 as hex. */
  digest(text: string): string;
}

/** Makes invoices from the ledger, and closes months: from then on nothing counts in them, and their invoices are kept. */
export class Closing {
  /** Of this process: spares looking through a closed month each minute. */
  private closedUntil = 0;

  constructor(private readonly parts: ClosingParts) {}

  /** Closes what is over; answers the months of which invoices were kept now. Ended in the middle, it goes on where it stood. */
  async closeDue(now: number): Promise<string[]> {
    const { store } = this.parts;
    const over = monthStart(monthOf(now - CLOSES_AFTER_MS));
    if (over <= this.closedUntil) return [];
    // The month closed last is looked at again: the process may have ended before all its invoices were kept.
    const openFrom = (await store.openFromMs()) || over;
    const kept = new Set<string>();
    for (let month = monthOf(Math.max(0, openFrom - 1)); monthEnd(month) <= over; month = nextMonth(month)) {
      // First the border, then the sums: nothing may come in after they were made.
      await store.close(monthEnd(month));
      for (const tenantId of await store.tenantsWithUsage(windowOf(month))) {
        if (await store.keptInvoice(tenantId, month)) continue;
        await store.keepInvoice(await this.fromLedger(tenantId, month, true));
        kept.add(month);
      }
    }
    this.closedUntil = over;
    return [...kept];
  }

  /** Undefined: a month of the past without usage, or one that has not begun. */
  async invoice(tenantId: TenantId, month: string, now: number): Promise<Invoice | undefined> {
    const kept = await this.parts.store.keptInvoice(tenantId, month);
    if (kept) return kept.invoice;
    if (month > monthOf(now)) return undefined;
    const closed = monthEnd(month) <= (await this.parts.store.openFromMs());
    const { invoice } = await this.fromLedger(tenantId, month, closed);
    return invoice.usage.requests === 0 && invoice.lines.length === 0 && month !== monthOf(now) ? undefined : invoice;
  }

  /** Makes a closed month again from the ledger: whether it still says what it said at the closing. */
  async verify(tenantId: TenantId, month: string): Promise<'same' | 'differs' | 'notClosed'> {
    const kept = await this.parts.store.keptInvoice(tenantId, month);
    if (!kept) return 'notClosed';
    const again = await this.fromLedger(tenantId, month, true);
    return again.ledgerDigest === kept.ledgerDigest && again.invoice.exactTotal === kept.invoice.exactTotal ? 'same' : 'differs';
  }

  private async fromLedger(tenantId: TenantId, month: string, closed: boolean): Promise<KeptInvoice> {
    const { store, namesOf, digest } = this.parts;
    const [sums, plans] = await Promise.all([store.invoiceSums(tenantId, windowOf(month)), store.plans()]);
    const names = await namesOf(tenantId, [...new Set([...sums.used, ...sums.adjusted].map((sum) => sum.functionId))]);
    const named = (sum: UsageSum): FunctionSum => ({ ...sum, name: names.get(sum.functionId) });
    const [used, adjusted] = [sums.used.map(named), sums.adjusted.map(named)];
    const plan = planFor(month, plans);
    // The closing is dated by its rule and not by the clock, so that a month made again is the same to the last byte.
    const closedAt = closed ? monthEnd(month) + CLOSES_AFTER_MS : undefined;
    return {
      invoice: makeInvoice({ tenantId, month, plan, used, adjusted, closedAt }),
      ledgerDigest: digest(ledgerDigestText(used, adjusted)),
    };
  }
}

export const windowOf = (month: string): { fromMs: number; toMs: number } => ({ fromMs: monthStart(month), toMs: monthEnd(month) });
