import { SteadyWall } from '../../../lib/embedded/clock.js';

const T0 = Date.parse('2026-11-20T12:00:00Z');
const HOUR_MS = 3_600_000;

describe('the platform’s wall clock', () => {
  let wallMs = T0;
  let monotonicMs = 0;
  const steady = () =>
    new SteadyWall(
      () => Math.floor(wallMs),
      () => monotonicMs,
    );
  const pass = (ms: number) => {
    wallMs += ms;
    monotonicMs += ms;
  };

  it('is the machine’s while that goes forward, also by a leap', () => {
    const clock = steady();
    for (let n = 0; n < 1000; n += 1) {
      expect(clock.now()).toBe(Math.floor(wallMs));
      pass(n % 7 ? 0.4 : 90);
    }
    wallMs += 5 * HOUR_MS;
    expect(clock.now()).toBe(Math.floor(wallMs));
  });

  it('goes on, a tenth slower, where the machine’s is set back, until that is there again', () => {
    const clock = steady();
    const before = clock.now();
    wallMs -= HOUR_MS;
    expect(clock.now()).toBe(before);
    pass(1000);
    expect(clock.now()).toBe(before + 900);
    pass(9 * HOUR_MS);
    expect(clock.now() - Math.floor(wallMs)).toBeLessThan(HOUR_MS / 10 + 200);
    pass(2 * HOUR_MS);
    expect(clock.now()).toBe(Math.floor(wallMs));
  });

  it('believes a machine that was days ahead before', () => {
    const clock = steady();
    clock.now();
    wallMs -= 30 * 24 * HOUR_MS;
    expect(clock.now()).toBe(Math.floor(wallMs));
  });

  it('begins where an earlier process stopped, unless that was days ahead', () => {
    const clock = steady();
    const now = clock.now();
    clock.notBefore(now + HOUR_MS);
    expect(clock.now()).toBe(now + HOUR_MS);
    clock.notBefore(now - HOUR_MS);
    expect(clock.now()).toBe(now + HOUR_MS);
    const other = steady();
    other.notBefore(now + 40 * 24 * HOUR_MS);
    expect(other.now()).toBe(now);
  });
});
