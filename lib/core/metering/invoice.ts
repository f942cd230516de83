import Big from 'big.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { Quantities } from './model.js';
import { type Priced, type PricePlan, price, type Rate } from './price-plan.js';
import { gbSecOf, plain, roundMoney } from './quantity.js';

export type Unit = 'request' | 'GB-second';

export interface InvoiceLine {
  description: string;
  functionId?: FunctionId;
  /** Exact decimal text; negative where something is taken back. */
  quantity: string;
  unit: Unit;
  unitPrice: string;
  /** quantity * unitPrice, exact. */
  amount: string;
}

export interface Invoice {
  invoiceId: string;
  tenantId: TenantId;
  /** `2026-11`, UTC. */
  month: string;
  currency: string;
  /** A closed month never changes. */
  status: 'open' | 'closed';
  /** Epoch ms. */
  closedAt?: number;
  /** The whole month, adjustments included, before allowances. */
  usage: { requests: number; billedMs: number; gbSec: string };
  /** First month of the price plan that was applied. */
  pricePlan: string;
  lines: InvoiceLine[];
  /** Exact sum of the lines. */
  exactTotal: string;
  /** Rounded once, to the currency's smallest coin. */
  total: string;
}

/** One function's part of a month. */
export interface FunctionSum extends Quantities {
  functionId: FunctionId;
  /** As it was called when the month was invoiced. */
  name?: string;
}

export interface InvoiceInput {
  tenantId: TenantId;
  month: string;
  plan: PricePlan;
  /** From the ledger. */
  used: readonly FunctionSum[];
  /** From adjustments made in this month, whatever month they mend. */
  adjusted: readonly FunctionSum[];
  /** Epoch ms; absent while the month is open. */
  closedAt?: number;
}

interface Meter {
  unit: Unit;
  noun: string;
  rate: Rate;
  quantityOf: (sum: Quantities) => string;
}

const metersOf = (plan: PricePlan): Meter[] => [
  { unit: 'request', noun: 'Requests', rate: plan.requests, quantityOf: (sum) => String(sum.requests) },
  { unit: 'GB-second', noun: 'Compute', rate: plan.gbSeconds, quantityOf: (sum) => gbSecOf(sum.mbMs) },
];

/**
 * The same input gives the same invoice to the last byte: a month can be made again from the ledger at any time.
 * Functions fill the tiers in the order of their ids, requests and compute apart; adjustments come after them,
 * allowances last. Only the total is rounded.
 */
export function makeInvoice(input: InvoiceInput): Invoice {
  const { tenantId, month, plan } = input;
  const lines = metersOf(plan).flatMap((meter) => meterLines(meter, input));
  const exact = lines.reduce((sum, line) => sum.plus(line.amount), new Big(0));
  const usage = addUp([...input.used, ...input.adjusted]);
  return {
    invoiceId: `inv-${month}-${tenantId}`,
    tenantId,
    month,
    currency: plan.currency,
    status: input.closedAt === undefined ? 'open' : 'closed',
    closedAt: input.closedAt,
    usage: { requests: usage.requests, billedMs: usage.billedMs, gbSec: gbSecOf(usage.mbMs) },
    pricePlan: plan.effectiveFrom,
    lines,
    exactTotal: plain(exact),
    total: roundMoney(exact, plan.currency),
  };
}

function meterLines(meter: Meter, { used, adjusted }: InvoiceInput): InvoiceLine[] {
  const lines: InvoiceLine[] = [];
  let reached = new Big(0);
  const add = (sum: FunctionSum, noun: string) => {
    const next = reached.plus(meter.quantityOf(sum));
    for (const part of price(meter.rate, reached, next))
      lines.push(lineOf(part, meter, `${noun}: ${sum.name ?? sum.functionId}`, sum.functionId));
    reached = next;
  };
  for (const sum of inOrder(used)) add(sum, meter.noun);
  for (const sum of inOrder(adjusted)) add(sum, `Adjustment of ${meter.noun.toLowerCase()}`);
  const free = reached.lt(meter.rate.freePerMonth) ? reached : new Big(meter.rate.freePerMonth);
  if (free.gt(0))
    for (const part of price(meter.rate, free, new Big(0)).reverse())
      lines.push(lineOf(part, meter, `Free allowance: ${meter.noun.toLowerCase()}`));
  return lines;
}

function lineOf(part: Priced, meter: Meter, description: string, functionId?: FunctionId): InvoiceLine {
  const tier = meter.rate.tiers.length > 1 ? `, tier ${part.tier}` : '';
  return {
    description: description + tier,
    functionId,
    quantity: plain(part.quantity),
    unit: meter.unit,
    unitPrice: plain(part.unitPrice),
    amount: plain(part.amount),
  };
}

const inOrder = (sums: readonly FunctionSum[]): FunctionSum[] => [...sums].sort((a, b) => (a.functionId < b.functionId ? -1 : 1));

export const addUp = (sums: readonly Quantities[]): Quantities =>
  sums.reduce((all, s) => ({ requests: all.requests + s.requests, billedMs: all.billedMs + s.billedMs, mbMs: all.mbMs + s.mbMs }), {
    requests: 0,
    billedMs: 0,
    mbMs: 0n,
  });

/** What the ledger says of a closed month, in one text: kept at closing, so that a later difference is seen. */
export function ledgerDigestText(used: readonly FunctionSum[], adjusted: readonly FunctionSum[]): string {
  const row = (sum: FunctionSum) => `${sum.functionId} ${sum.requests} ${sum.billedMs} ${sum.mbMs}`;
  return [...inOrder(used).map(row), 'adjusted', ...inOrder(adjusted).map(row)].join('\n');
}
