import Big from 'big.js';
import { type FieldFault, invalid } from '../refusal.js';
import { isMonth } from './month.js';

/** One price for the part of a month's quantity that lies between the tier before and `upTo`. */
export interface Tier {
  /** In units; absent in the last tier, which has no end. */
  upTo?: string;
  /** For `per` units. Decimal text. */
  price: string;
}

export interface Rate {
  /** A price is for so many units: a power of ten, so that dividing stays exact. */
  per: number;
  tiers: Tier[];
  /** Free units a month. */
  freePerMonth: string;
}

/** What a month costs. Each month has the newest plan that is effective in it. */
export interface PricePlan {
  /** ISO 4217. */
  currency: string;
  /** First month it counts for, `2026-11`. */
  effectiveFrom: string;
  requests: Rate;
  gbSeconds: Rate;
}

/** Shaped like AWS Lambda's published price for x86 in us-east-1 (aws.amazon.com/lambda/pricing), its monthly free tier included. */
export const DEFAULT_PRICE_PLAN: PricePlan = {
  currency: 'USD',
  effectiveFrom: '1970-01',
  requests: { per: 1_000_000, tiers: [{ price: '0.20' }], freePerMonth: '1000000' },
  gbSeconds: {
    per: 1,
    tiers: [{ upTo: '6000000000', price: '0.0000166667' }, { upTo: '15000000000', price: '0.0000150000' }, { price: '0.0000133334' }],
    freePerMonth: '400000',
  },
};

/** @param plans in the order in which they were stored: of two for the same month the later one counts. */
export function planFor(month: string, plans: readonly PricePlan[]): PricePlan {
  let chosen = DEFAULT_PRICE_PLAN;
  for (const plan of plans) if (plan.effectiveFrom <= month && plan.effectiveFrom >= chosen.effectiveFrom) chosen = plan;
  return chosen;
}

/** A quantity at one price. */
export interface Priced {
  quantity: Big;
  /** For one unit, exact. */
  unitPrice: Big;
  amount: Big;
  /** From 1. */
  tier: number;
}

/**
 * Prices the units that lie between `from` and `to` of the month's running total, tier by tier. `to` below `from`
 * takes back: quantities and amounts are negative then. price(a..b) + price(b..c) = price(a..c), whatever b is.
 */
export function price(rate: Rate, from: Big, to: Big): Priced[] {
  const sign = to.lt(from) ? -1 : 1;
  const [low, high] = sign < 0 ? [to, from] : [from, to];
  const parts: Priced[] = [];
  let floor: Big | undefined;
  rate.tiers.forEach((tier, at) => {
    const start = floor === undefined || low.gt(floor) ? low : floor;
    const end = tier.upTo === undefined || high.lt(tier.upTo) ? high : new Big(tier.upTo);
    if (end.gt(start)) parts.push(priced(end.minus(start).times(sign), tier, rate.per, at + 1));
    floor = tier.upTo === undefined ? undefined : new Big(tier.upTo);
  });
  return sign < 0 ? parts.reverse() : parts;
}

function priced(quantity: Big, tier: Tier, per: number, number: number): Priced {
  const unitPrice = new Big(tier.price).times(`1e-${zerosOf(per)}`);
  return { quantity, unitPrice, amount: quantity.times(unitPrice), tier: number };
}

/** 1000000 -> 6; dividing by a power of ten only moves the point. */
const zerosOf = (powerOfTen: number): number => String(powerOfTen).length - 1;

export const sumOf = (parts: readonly { amount: Big }[]): Big => parts.reduce((sum, part) => sum.plus(part.amount), new Big(0));

const DECIMAL = /^\d{1,15}(\.\d{1,15})?$/;

/** Throws a Refusal that names each field that is wrong. */
export function checkPlan(plan: PricePlan, runningMonth: string): void {
  const errors: FieldFault[] = [];
  if (!isMonth(plan.effectiveFrom)) errors.push({ field: 'effectiveFrom', message: 'is no month', allowed: 'such as 2026-11' });
  else if (plan.effectiveFrom < runningMonth)
    errors.push({
      field: 'effectiveFrom',
      message: 'is a month that is over: its prices never change',
      allowed: `${runningMonth} or later`,
    });
  if (!Intl.supportedValuesOf('currency').includes(plan.currency))
    errors.push({ field: 'currency', message: 'is no currency', allowed: 'three letters of ISO 4217, such as USD' });
  checkRate('requests', plan.requests, errors);
  checkRate('gbSeconds', plan.gbSeconds, errors);
  if (errors.length > 0) throw invalid(errors);
}

function checkRate(field: string, rate: Rate, errors: FieldFault[]): void {
  if (!/^10{0,9}$/.test(String(rate.per)))
    errors.push({ field: `${field}.per`, message: 'is no power of ten', allowed: '1, 10, … 1000000000' });
  if (!DECIMAL.test(rate.freePerMonth))
    errors.push({ field: `${field}.freePerMonth`, message: 'is no decimal', allowed: 'such as "400000"' });
  if (rate.tiers.length === 0) errors.push({ field: `${field}.tiers`, message: 'is empty', allowed: 'at least one tier' });
  let floor = new Big(0);
  rate.tiers.forEach((tier, at) => {
    const name = `${field}.tiers[${at}]`;
    if (!DECIMAL.test(tier.price)) errors.push({ field: `${name}.price`, message: 'is no decimal', allowed: 'such as "0.20"' });
    const last = at === rate.tiers.length - 1;
    if (last !== (tier.upTo === undefined))
      errors.push({ field: `${name}.upTo`, message: 'every tier but the last has an end, and only the last has none' });
    if (tier.upTo === undefined) return;
    if (!DECIMAL.test(tier.upTo)) errors.push({ field: `${name}.upTo`, message: 'is no decimal', allowed: 'such as "6000000000"' });
    else if (!floor.lt(tier.upTo)) errors.push({ field: `${name}.upTo`, message: 'does not lie above the tier before' });
    else floor = new Big(tier.upTo);
  });
}
