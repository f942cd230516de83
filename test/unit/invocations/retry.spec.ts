import fc from 'fast-check';
import { DEFAULTS } from '../../../lib/core/defaults.js';
import { afterPlatformFault, afterTenantFault, backoffMs, type FailedChain } from '../../../lib/core/invocations/retry.js';

const policy = { maxRetries: 5, baseDelayMs: 500, maxAgeSec: 60 };
const chain = (change: Partial<FailedChain> = {}): FailedChain => ({ chainStartedAt: 0, tenantFaults: 0, platformFaults: 0, ...change });
/** The least and the largest draw of a uniform fraction in [0, 1). */
const LOWEST = 0;
const HIGHEST = 1 - Number.EPSILON / 2;

describe('the wait before a retry', () => {
  it('is 500 ms * 2^n for n = 0…4, spread over exactly [50 %, 100 %]', () => {
    const spread = [0, 1, 2, 3, 4].map((n) => [backoffMs(500, n, LOWEST), backoffMs(500, n, HIGHEST)]);
    expect(spread).toEqual([
      [250, 500],
      [500, 1_000],
      [1_000, 2_000],
      [2_000, 4_000],
      [4_000, 8_000],
    ]);
  });

  it('stays within [50 %, 100 %] of base * 2^n, rises with the draw, and covers the whole spread', () => {
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60_000 }), fc.nat(100), draw, draw, (base, n, a, b) => {
        const full = Math.min(base * 2 ** n, 3_600_000);
        const waits = [Math.min(a, b), Math.max(a, b)].map((jitter) => backoffMs(base, n, jitter));
        expect(waits[0]).toBeGreaterThanOrEqual(Math.round(full / 2));
        expect(waits[1]).toBeLessThanOrEqual(full);
        expect(waits[0]).toBeLessThanOrEqual(waits[1] as number);
      }),
    );
    const waits = Array.from({ length: 1_000 }, (_, i) => backoffMs(1_000, 0, i / 1_000));
    expect(new Set(waits).size).toBe(501);
  });

  it('never outlives an hour, however long the chain', () => {
    expect(backoffMs(60_000, 100, HIGHEST)).toBe(3_600_000);
    expect(backoffMs(500, 5_000, LOWEST)).toBe(1_800_000);
  });
});

describe('what follows a fault of the tenant', () => {
  it('is a retry as long as fewer than maxRetries were done, then death by max_retries', () => {
    const kinds = Array.from({ length: 7 }, (_, tenantFaults) => afterTenantFault(policy, chain({ tenantFaults }), 1_000, 0).kind);
    expect(kinds).toEqual(['retry', 'retry', 'retry', 'retry', 'retry', 'dead', 'dead']);
    expect(afterTenantFault(policy, chain({ tenantFaults: 5 }), 1_000, 0)).toEqual({ kind: 'dead', reason: 'max_retries' });
    expect(afterTenantFault({ ...policy, maxRetries: 0 }, chain(), 1_000, 0)).toEqual({ kind: 'dead', reason: 'max_retries' });
  });

  it('is death by max_age once the chain is older than allowed, and not a millisecond sooner', () => {
    expect(afterTenantFault(policy, chain(), 60_000, 0)).toEqual({ kind: 'retry', notBefore: 60_250 });
    expect(afterTenantFault(policy, chain(), 60_001, 0)).toEqual({ kind: 'dead', reason: 'max_age' });
  });

  it('does not count our own faults against the tenant', () => {
    expect(afterTenantFault(policy, chain({ platformFaults: 4 }), 0, 0)).toEqual({ kind: 'retry', notBefore: 250 });
  });
});

describe('what follows a fault of ours', () => {
  it('is another try until the budget of five is used up, whatever the tenant has used', () => {
    const next = Array.from({ length: 6 }, (_, platformFaults) => afterPlatformFault(chain({ platformFaults, tenantFaults: 9 }), 0, 0));
    expect(next.map((n) => n.kind)).toEqual(['retry', 'retry', 'retry', 'retry', 'dead', 'dead']);
    expect(next[DEFAULTS.platformFaultBudget - 1]).toEqual({ kind: 'dead', reason: 'platform_fault' });
  });

  it('waits longer each time', () => {
    const waits = [0, 1, 2, 3].map((platformFaults) => afterPlatformFault(chain({ platformFaults }), 1_000, HIGHEST));
    expect(waits).toEqual([200, 400, 800, 1_600].map((ms) => ({ kind: 'retry', notBefore: 1_000 + ms })));
  });
});
