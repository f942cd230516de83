import Big from 'big.js';
import type { FunctionId } from '../ids.js';
import { type FieldFault, invalid, invalidField } from '../refusal.js';
import type { Quantities, UsageSum } from './model.js';
import { DAY_MS, HOUR_MS, monthEnd, monthOf, monthStart } from './month.js';
import { type PricePlan, price, sumOf } from './price-plan.js';
import { gbSecOf, plain } from './quantity.js';

export const GROUPINGS = ['function', 'day', 'version'] as const;
export type Grouping = (typeof GROUPINGS)[number];

export interface UsageWindow {
  fromMs: number;
  /** Not part of the window. */
  toMs: number;
  groupBy: Grouping;
}

export interface UsageItem {
  /** Function id, day, or `<function id>:<version>`. */
  key: string;
  functionId?: FunctionId;
  version?: string;
  day?: string;
  /** Invocations, whatever the number of their attempts. */
  requests: number;
  billedMs: number;
  /** Exact decimal text. */
  gbSec: string;
  /** Exact decimal text, before free allowances. */
  amount: string;
}

export interface UsageReport {
  from: number;
  to: number;
  groupBy: Grouping;
  currency: string;
  items: UsageItem[];
  /** The sum of the items, to the last digit. */
  total: Omit<UsageItem, 'key' | 'functionId' | 'version' | 'day'>;
}

/** Longest window of one report: the sum of a year and the month before it. */
const MAX_WINDOW_MS = 397 * DAY_MS;

/** Default: the running month (UTC). Throws a Refusal that names what is wrong. */
export function usageWindow(query: { from?: string; to?: string; groupBy?: string }, now: number): UsageWindow {
  const errors: FieldFault[] = [];
  const month = monthOf(now);
  const fromMs = query.from === undefined ? monthStart(month) : instant('from', query.from, errors);
  const toMs = query.to === undefined ? Math.max(monthEnd(month), fromMs + HOUR_MS) : instant('to', query.to, errors);
  const groupBy = query.groupBy ?? 'function';
  if (!(GROUPINGS as readonly string[]).includes(groupBy))
    errors.push({ field: 'groupBy', message: 'is no grouping', allowed: GROUPINGS.join(', ') });
  if (errors.length === 0 && fromMs >= toMs)
    errors.push({ field: 'to', message: 'must lie after from; it is not part of the window itself' });
  if (errors.length === 0 && query.to !== undefined && toMs - fromMs > MAX_WINDOW_MS)
    errors.push({ field: 'from', message: 'lies too far before to', allowed: `at most ${MAX_WINDOW_MS / DAY_MS} days` });
  if (errors.length > 0) throw invalid(errors);
  return { fromMs, toMs: Math.min(toMs, fromMs + MAX_WINDOW_MS), groupBy: groupBy as Grouping };
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/i;
const ALLOWED = 'a day (2026-11-01) or a whole hour by RFC 3339 (2026-11-01T09:00:00Z), not before 1970';

function instant(field: string, text: string, errors: FieldFault[]): number {
  const ms = DAY.test(text) || INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  // Date.parse takes 2026-02-31 for March: whoever asks for it should be told.
  const exists = !Number.isNaN(ms) && (!DAY.test(text) || new Date(ms).toISOString().startsWith(text));
  if (!exists || ms < 0) errors.push({ field, message: 'is no time that can be asked for', allowed: ALLOWED });
  else if (ms % HOUR_MS !== 0) errors.push({ field, message: 'is no whole hour; usage is kept by the hour', allowed: ALLOWED });
  return ms;
}

/** Sums of one month's part of the window, in the order of their keys, adjustments included. */
export interface MonthPart {
  plan: PricePlan;
  /** What the month had used before the window: later units may fall into cheaper tiers. */
  before: Quantities;
  sums: UsageSum[];
}

/**
 * Prices each item by the tiers that the month has reached, filled in the order of keys (days: of time), so that
 * whatever the grouping is, the items add up to the same total.
 */
export function usageReport(window: UsageWindow, parts: readonly MonthPart[]): UsageReport {
  const currencies = new Set(parts.map((part) => part.plan.currency));
  if (currencies.size > 1) throw invalidField('from', 'the price plan changes its currency within the window; ask for each part of it');
  const rows = new Map<string, Quantities & { label: Pick<UsageItem, 'functionId' | 'version' | 'day'>; amount: Big }>();
  for (const part of parts) {
    const tally = tallyFrom(part.plan, part.before);
    for (const sum of [...part.sums].sort((a, b) => compare(keyOf(a, window.groupBy), keyOf(b, window.groupBy)))) {
      const key = keyOf(sum, window.groupBy);
      const row = rows.get(key) ?? { requests: 0, billedMs: 0, mbMs: 0n, amount: new Big(0), label: labelOf(sum, window.groupBy) };
      row.requests += sum.requests;
      row.billedMs += sum.billedMs;
      row.mbMs += sum.mbMs;
      row.amount = row.amount.plus(tally(sum));
      rows.set(key, row);
    }
  }
  const items = [...rows].sort(([a], [b]) => compare(a, b));
  const total = items.reduce((all, [, row]) => plus(all, row), { requests: 0, billedMs: 0, mbMs: 0n, amount: new Big(0) });
  return {
    from: window.fromMs,
    to: window.toMs,
    groupBy: window.groupBy,
    currency: [...currencies][0] ?? 'USD',
    items: items.map(([key, row]) => ({ key, ...row.label, ...shown(row) })),
    total: shown(total),
  };
}

/** Prices one sum after the other, each from where the one before ended. */
function tallyFrom(plan: PricePlan, before: Quantities): (sum: Quantities) => Big {
  let requests = new Big(before.requests);
  let gbSec = new Big(gbSecOf(before.mbMs));
  return (sum) => {
    const requestsAfter = requests.plus(sum.requests);
    const gbSecAfter = gbSec.plus(gbSecOf(sum.mbMs));
    const amount = sumOf([...price(plan.requests, requests, requestsAfter), ...price(plan.gbSeconds, gbSec, gbSecAfter)]);
    requests = requestsAfter;
    gbSec = gbSecAfter;
    return amount;
  };
}

const plus = (a: Quantities & { amount: Big }, b: Quantities & { amount: Big }): Quantities & { amount: Big } => ({
  requests: a.requests + b.requests,
  billedMs: a.billedMs + b.billedMs,
  mbMs: a.mbMs + b.mbMs,
  amount: a.amount.plus(b.amount),
});

const shown = (row: Quantities & { amount: Big }): UsageReport['total'] => ({
  requests: row.requests,
  billedMs: row.billedMs,
  gbSec: gbSecOf(row.mbMs),
  amount: plain(row.amount),
});

function keyOf(sum: UsageSum, groupBy: Grouping): string {
  if (groupBy === 'day') return sum.day ?? '';
  return groupBy === 'version' ? `${sum.functionId}:${sum.version ?? ''}` : sum.functionId;
}

function labelOf(sum: UsageSum, groupBy: Grouping): Pick<UsageItem, 'functionId' | 'version' | 'day'> {
  if (groupBy === 'day') return { day: sum.day };
  return groupBy === 'version' ? { functionId: sum.functionId, version: sum.version } : { functionId: sum.functionId };
}

/** By code units, so that the order depends on no locale. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
