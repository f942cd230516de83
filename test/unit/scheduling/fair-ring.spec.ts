import type { Priority } from '../../../lib/core/functions/model.js';
import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import { FairRing, type Queued } from '../../../lib/core/scheduling/fair-ring.js';

const queue = (tenant: string, fn: string, priority: Priority = 'normal'): Queued => ({
  tenantId: asTenantId(tenant),
  functionId: asFunctionId(fn),
  priority,
});
const turns = (ring: FairRing<Queued>, count: number, costMs: (q: Queued) => number = () => 1) => {
  const served = new Map<Queued | undefined, number>();
  for (let n = 0; n < count; n += 1) {
    const next = ring.next(costMs);
    served.set(next, (served.get(next) ?? 0) + 1);
  }
  return served;
};

describe('the fair ring', () => {
  it('gives tenants equal shares, however many functions one of them queues', () => {
    const ring = new FairRing<Queued>();
    const loud = Array.from({ length: 50 }, (_, i) => queue('loud', `fn_${i}`));
    const quiet = queue('quiet', 'fn_q');
    for (const each of [...loud, quiet]) ring.add(each);
    const served = turns(ring, 1_000);
    expect(served.get(quiet)).toBeGreaterThanOrEqual(480);
    expect(loud.every((each) => (served.get(each) ?? 0) >= 8)).toBe(true);
  });

  it('shares handler time, not calls: a tenant of slow functions gets fewer turns', () => {
    const ring = new FairRing<Queued>();
    const [slow, fast] = [queue('slow', 'fn_s'), queue('fast', 'fn_f')];
    ring.add(slow);
    ring.add(fast);
    const served = turns(ring, 1_100, (q) => (q === slow ? 50 : 5));
    expect((served.get(fast) ?? 0) / (served.get(slow) ?? 1)).toBeCloseTo(10, 0);
  });

  it('serves priorities 6:3:1, so that low is never starved', () => {
    const ring = new FairRing<Queued>();
    const all = (['high', 'normal', 'low'] as const).map((priority) => queue('t', `fn_${priority}`, priority));
    for (const each of all) ring.add(each);
    expect(all.map((each) => turns(ring, 0).get(each) ?? 0)).toEqual([0, 0, 0]);
    const served = turns(ring, 1_000);
    expect(all.map((each) => served.get(each))).toEqual([600, 300, 100]);
  });

  it('has nobody’s turn once all have left', () => {
    const ring = new FairRing<Queued>();
    const one = queue('t', 'fn_a');
    ring.add(one);
    ring.remove(one);
    expect(ring.next(() => 1)).toBeUndefined();
  });
});
