import Big from 'big.js';
import fc from 'fast-check';
import { checkPlan, DEFAULT_PRICE_PLAN, type PricePlan, planFor, price, sumOf } from '../../../lib/core/metering/price-plan.js';
import { gbSecOf, gbSecOfAttempts, mbMsOf, roundMoney } from '../../../lib/core/metering/quantity.js';
import { Refusal } from '../../../lib/core/refusal.js';

const tiered: PricePlan = {
  currency: 'EUR',
  effectiveFrom: '2026-12',
  requests: { per: 1000, tiers: [{ upTo: '10', price: '3' }, { upTo: '20', price: '2' }, { price: '1' }], freePerMonth: '0' },
  gbSeconds: { per: 1, tiers: [{ price: '0.5' }], freePerMonth: '0' },
};

describe('quantities', () => {
  it('gives GB-seconds as exact decimal text', () => {
    expect(gbSecOf(mbMsOf(1024, 1000))).toBe('1');
    expect(gbSecOf(mbMsOf(128, 1))).toBe('0.000125');
    expect(gbSecOf(mbMsOf(64, 1))).toBe('0.0000625');
    expect(gbSecOf(mbMsOf(65, 1))).toBe('0.0000634765625');
    expect(gbSecOf(0n)).toBe('0');
    expect(gbSecOf(-mbMsOf(128, 3))).toBe('-0.000375');
    expect(gbSecOfAttempts([])).toBe('0');
  });

  it('adds up without rounding, however large the sum', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 64, max: 10_240 }), fc.integer({ min: 1, max: 900_000 })), { maxLength: 50 }),
        (attempts) => {
          const each = attempts.map(([memoryMb, billedMs]) => new Big(gbSecOf(mbMsOf(memoryMb, billedMs))));
          const sum = each.reduce((a, b) => a.plus(b), new Big(0));
          expect(new Big(gbSecOfAttempts(attempts.map(([memoryMb, billedMs]) => ({ memoryMb, billedMs }))))).toEqual(sum);
        },
      ),
    );
  });

  it('rounds money to the smallest coin of its currency, halves away from zero', () => {
    expect(roundMoney(new Big('1.005'), 'USD')).toBe('1.01');
    expect(roundMoney(new Big('-1.005'), 'USD')).toBe('-1.01');
    expect(roundMoney(new Big('-0.001'), 'USD')).toBe('0.00');
    expect(roundMoney(new Big('12.5'), 'JPY')).toBe('13');
    expect(roundMoney(new Big('0.0005'), 'KWD')).toBe('0.001');
  });
});

describe('price plan', () => {
  it('prices each part of the quantity at its tier', () => {
    const parts = price(tiered.requests, new Big(0), new Big(25));
    expect(parts.map((p) => [p.tier, p.quantity.toFixed(), p.unitPrice.toFixed(), p.amount.toFixed()])).toEqual([
      [1, '10', '0.003', '0.03'],
      [2, '10', '0.002', '0.02'],
      [3, '5', '0.001', '0.005'],
    ]);
  });

  it('gives one total wherever the quantity is cut, also when something is taken back', () => {
    const amounts = fc.array(fc.integer({ min: -40, max: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(amounts, (steps) => {
        let at = new Big(0);
        let sum = new Big(0);
        for (const step of steps) {
          sum = sum.plus(sumOf(price(tiered.requests, at, at.plus(step))));
          at = at.plus(step);
        }
        expect(sum.eq(sumOf(price(tiered.requests, new Big(0), at)))).toBe(true);
      }),
    );
  });

  it('applies the newest plan that is effective in the month, and of two for one month the later one', () => {
    const mended = { ...tiered, currency: 'CHF' };
    expect(planFor('2026-11', [tiered])).toBe(DEFAULT_PRICE_PLAN);
    expect(planFor('2026-12', [tiered])).toBe(tiered);
    expect(planFor('2027-05', [tiered, mended])).toBe(mended);
  });

  it('refuses by name what is wrong with a plan', () => {
    const wrong: PricePlan = {
      currency: 'XXQ',
      effectiveFrom: '2026-10',
      requests: { per: 7, tiers: [{ price: '-1' }, { price: '1' }], freePerMonth: 'many' },
      gbSeconds: { per: 1, tiers: [{ upTo: '5', price: '1' }, { upTo: '4', price: '1' }, { price: '1' }], freePerMonth: '0' },
    };
    const refused = (() => {
      try {
        return checkPlan(wrong, '2026-11');
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toBeInstanceOf(Refusal);
    expect((refused as Refusal).more.errors?.map((e) => e.field)).toEqual([
      'effectiveFrom',
      'currency',
      'requests.per',
      'requests.freePerMonth',
      'requests.tiers[0].price',
      'requests.tiers[0].upTo',
      'gbSeconds.tiers[1].upTo',
    ]);
    expect(() => checkPlan(tiered, '2026-11')).not.toThrow();
  });
});
