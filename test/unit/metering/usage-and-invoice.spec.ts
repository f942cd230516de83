import Big from 'big.js';
import fc from 'fast-check';
import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import { type InvoiceInput, makeInvoice } from '../../../lib/core/metering/invoice.js';
import type { UsageSum } from '../../../lib/core/metering/model.js';
import { DEFAULT_PRICE_PLAN, type PricePlan } from '../../../lib/core/metering/price-plan.js';
import { usageReport, usageWindow } from '../../../lib/core/metering/usage.js';
import { Refusal } from '../../../lib/core/refusal.js';

const NOW = Date.parse('2026-11-20T22:15:00Z');
const plan: PricePlan = {
  currency: 'USD',
  effectiveFrom: '2026-01',
  requests: { per: 1, tiers: [{ upTo: '10', price: '1' }, { price: '0.5' }], freePerMonth: '3' },
  gbSeconds: { per: 1, tiers: [{ price: '0.01' }], freePerMonth: '1' },
};
const sum = (functionId: string, requests: number, gb: number, more: Partial<UsageSum> = {}): UsageSum => ({
  functionId: asFunctionId(functionId),
  requests,
  billedMs: gb * 1000,
  mbMs: BigInt(gb) * 1_024_000n,
  ...more,
});
const nothing = { requests: 0, billedMs: 0, mbMs: 0n };

describe('usage', () => {
  it('reports the running month by function unless asked otherwise', () => {
    expect(usageWindow({}, NOW)).toEqual({
      fromMs: Date.parse('2026-11-01T00:00:00Z'),
      toMs: Date.parse('2026-12-01T00:00:00Z'),
      groupBy: 'function',
    });
    expect(usageWindow({ from: '2026-11-03', to: '2026-11-03T05:00:00+02:00', groupBy: 'day' }, NOW)).toEqual({
      fromMs: Date.parse('2026-11-03T00:00:00Z'),
      toMs: Date.parse('2026-11-03T03:00:00Z'),
      groupBy: 'day',
    });
  });

  it.each([
    [{ from: 'yesterday' }, 'from'],
    [{ to: '0' }, 'to'],
    [{ from: '2026-02-31' }, 'from'],
    [{ from: '2026-11-01T00:30:00Z' }, 'from'],
    [{ from: '2026-11-05', to: '2026-11-05' }, 'to'],
    [{ from: '2020-01-01', to: '2026-01-01' }, 'from'],
    [{ groupBy: 'color' }, 'groupBy'],
    [{ groupBy: '__proto__' }, 'groupBy'],
  ])('refuses %p by name', (query, field) => {
    try {
      usageWindow(query, NOW);
      throw new Error('not refused');
    } catch (error) {
      expect(error).toBeInstanceOf(Refusal);
      expect((error as Refusal).status).toBe(422);
      expect((error as Refusal).more.errors?.[0]?.field).toBe(field);
    }
  });

  it('prices functions by the tiers in the order of their ids, before allowances', () => {
    const window = { fromMs: 0, toMs: 1, groupBy: 'function' as const };
    const report = usageReport(window, [{ plan, before: nothing, sums: [sum('fn_b', 8, 2), sum('fn_a', 6, 1)] }]);
    expect(report.items).toEqual([
      { key: 'fn_a', functionId: 'fn_a', requests: 6, billedMs: 1000, gbSec: '1', amount: '6.01' },
      { key: 'fn_b', functionId: 'fn_b', requests: 8, billedMs: 2000, gbSec: '2', amount: '6.02' },
    ]);
    expect(report.total).toEqual({ requests: 14, billedMs: 3000, gbSec: '3', amount: '12.03' });
  });

  it('goes on in the tier that the month had reached before the window', () => {
    const report = usageReport({ fromMs: 0, toMs: 1, groupBy: 'day' }, [
      { plan, before: { ...nothing, requests: 9 }, sums: [sum('', 2, 0, { day: '2026-11-02' })] },
    ]);
    expect(report.items[0]).toMatchObject({ key: '2026-11-02', day: '2026-11-02', amount: '1.5' });
  });

  it('refuses a window in which the currency changes', () => {
    const parts = [plan, { ...plan, currency: 'EUR' }].map((each) => ({ plan: each, before: nothing, sums: [] }));
    expect(() => usageReport({ fromMs: 0, toMs: 1, groupBy: 'day' }, parts)).toThrow(Refusal);
  });

  it('adds up to the same total by every grouping, and the total is the sum of the items to the last digit', () => {
    const rows = fc.array(
      fc.record({
        fn: fc.integer({ min: 0, max: 3 }),
        version: fc.integer({ min: 1, max: 3 }),
        day: fc.integer({ min: 10, max: 14 }),
        requests: fc.nat(9),
        mbMs: fc.bigInt(0n, 10n ** 15n),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(rows, (cells) => {
        const reports = (['function', 'day', 'version'] as const).map((groupBy) => {
          const sums = cells.map((c) => ({
            functionId: asFunctionId(`fn_${c.fn}`),
            version: String(c.version),
            day: `2026-11-${c.day}`,
            requests: c.requests,
            billedMs: 1,
            mbMs: c.mbMs,
          }));
          return usageReport({ fromMs: 0, toMs: 1, groupBy }, [{ plan, before: nothing, sums }]);
        });
        for (const report of reports) {
          expect(report.total).toEqual(reports[0]?.total);
          const amount = report.items.reduce((all, item) => all.plus(item.amount), new Big(0));
          expect(amount.eq(report.total.amount)).toBe(true);
        }
      }),
    );
  });
});

describe('invoice', () => {
  const input: InvoiceInput = {
    tenantId: asTenantId('acme'),
    month: '2026-10',
    plan,
    used: [
      { ...sum('fn_b', 8, 200), name: 'thumbnails' },
      { ...sum('fn_a', 6, 100), name: 'hello' },
    ],
    adjusted: [sum('fn_a', -1, -10)],
    closedAt: NOW,
  };

  it('has exact lines a function and tier, adjustments and allowances as lines of their own, and one rounded total', () => {
    const invoice = makeInvoice(input);
    expect(invoice.lines.map((l) => [l.description, l.quantity, l.unit, l.unitPrice, l.amount])).toEqual([
      ['Requests: hello, tier 1', '6', 'request', '1', '6'],
      ['Requests: thumbnails, tier 1', '4', 'request', '1', '4'],
      ['Requests: thumbnails, tier 2', '4', 'request', '0.5', '2'],
      ['Adjustment of requests: fn_a, tier 2', '-1', 'request', '0.5', '-0.5'],
      ['Free allowance: requests, tier 1', '-3', 'request', '1', '-3'],
      ['Compute: hello', '100', 'GB-second', '0.01', '1'],
      ['Compute: thumbnails', '200', 'GB-second', '0.01', '2'],
      ['Adjustment of compute: fn_a', '-10', 'GB-second', '0.01', '-0.1'],
      ['Free allowance: compute', '-1', 'GB-second', '0.01', '-0.01'],
    ]);
    expect(invoice).toMatchObject({
      invoiceId: 'inv-2026-10-acme',
      status: 'closed',
      currency: 'USD',
      usage: { requests: 13, billedMs: 290_000, gbSec: '290' },
      exactTotal: '11.39',
      total: '11.39',
    });
  });

  it('is the same to the last byte when it is made again, whatever the order of the sums', () => {
    const again = makeInvoice({ ...input, used: [...input.used].reverse() });
    expect(JSON.stringify(again)).toBe(JSON.stringify(makeInvoice(input)));
  });

  it('costs nothing within the allowances, and never less than nothing', () => {
    const small = makeInvoice({ ...input, plan: DEFAULT_PRICE_PLAN, used: [sum('fn_a', 1000, 5)], adjusted: [], closedAt: undefined });
    expect(small).toMatchObject({ total: '0.00', exactTotal: '0', status: 'open', usage: { gbSec: '5' } });
    expect(small.lines.filter((l) => l.description.startsWith('Free')).map((l) => l.amount)).toEqual(['-0.0002', '-0.0000833335']);
  });

  it('takes allowances from the cheapest tiers that they reach, tier by tier', () => {
    const wide = makeInvoice({ ...input, plan: { ...plan, requests: { ...plan.requests, freePerMonth: '12' } }, adjusted: [] });
    expect(wide.lines.filter((l) => l.description.startsWith('Free allowance: req')).map((l) => [l.quantity, l.amount])).toEqual([
      ['-10', '-10'],
      ['-2', '-1'],
    ]);
  });
});
