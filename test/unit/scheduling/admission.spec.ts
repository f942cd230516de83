import fc from 'fast-check';
import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import { Admission } from '../../../lib/core/scheduling/admission.js';

const tenant = asTenantId('default');
const fn = (name: string) => asFunctionId(`fn_${name}`);

describe('admission', () => {
  it('takes calls up to the tenant’s limit, and again after one has left', () => {
    const admission = new Admission(() => 2);
    expect([1, 2, 3].map(() => admission.enter(tenant, fn('a'), { perSlot: 1 }))).toEqual(['ok', 'ok', 'tenant-limit']);
    admission.leave(tenant, fn('a'));
    expect(admission.enter(tenant, fn('b'), { perSlot: 1 })).toBe('ok');
  });

  it('holds a function to its own maximum while others go on', () => {
    const admission = new Admission(() => 10);
    expect(admission.enter(tenant, fn('a'), { perSlot: 1, max: 1 })).toBe('ok');
    expect(admission.enter(tenant, fn('a'), { perSlot: 1, max: 1 })).toBe('function-limit');
    expect(admission.enter(tenant, fn('b'), { perSlot: 1 })).toBe('ok');
  });

  it('keeps what is reserved for its function, and lets it share the rest', () => {
    const admission = new Admission(() => 3);
    admission.setReserved(tenant, fn('vip'), 2);
    expect([1, 2].map(() => admission.enter(tenant, fn('a'), { perSlot: 1 }))).toEqual(['ok', 'tenant-limit']);
    expect([1, 2, 3].map(() => admission.enter(tenant, fn('vip'), { perSlot: 1, reserved: 2 }))).toEqual(['ok', 'ok', 'tenant-limit']);
  });

  it('lets a function reserve what no other has reserved, its own included', () => {
    const admission = new Admission(() => 10);
    admission.setReserved(tenant, fn('a'), 6);
    expect([admission.reservable(tenant), admission.reservable(tenant, fn('a')), admission.reservable(tenant, fn('b'))]).toEqual([
      4, 10, 4,
    ]);
  });

  it('keeps tenants apart', () => {
    const admission = new Admission(() => 1);
    expect(admission.enter(tenant, fn('a'), { perSlot: 1 })).toBe('ok');
    expect(admission.enter(asTenantId('other'), fn('b'), { perSlot: 1 })).toBe('ok');
  });

  it('never exceeds a limit and always returns to zero, whatever comes and goes', () => {
    const step = fc.record({ name: fc.constantFrom('a', 'b', 'c'), reserved: fc.integer({ min: 0, max: 2 }), leave: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const admission = new Admission(() => 6);
        const running: string[] = [];
        for (const { name, reserved, leave } of steps) {
          if (leave) {
            const at = running.indexOf(name);
            if (at < 0) continue;
            running.splice(at, 1);
            admission.leave(tenant, fn(name));
          } else if (admission.enter(tenant, fn(name), { perSlot: 1, max: 4, reserved }) === 'ok') running.push(name);
          expect(running.filter((each) => each === name).length).toBeLessThanOrEqual(4);
        }
        for (const name of running) admission.leave(tenant, fn(name));
        for (const name of ['a', 'b', 'c']) admission.setReserved(tenant, fn(name), 0);
        const free = Array.from({ length: 7 }, (_, i) => admission.enter(tenant, fn(`x${i}`), { perSlot: 1 }));
        expect(free.filter((each) => each === 'ok')).toHaveLength(6);
      }),
    );
  });
});
