import { createHash, randomBytes } from 'node:crypto';
import type { Clock, Random } from '../core/clock.js';

/** While the machine's clock is behind what has been told already, time goes on at this pace until it is caught up with. */
const CATCH_UP_PACE = 0.9;
/** A machine that is further behind than this had been wrong before: it is believed at once. */
const STEP_BACK_MS = 24 * 3_600_000;

/**
 * The machine's wall clock, but never set back. A request that is due now would be due in an hour where the clock steps back
 * by one; so would every retry, key and lease. What is told instead runs a little slower until the machine is there again.
 */
export class SteadyWall {
  private told = Number.NEGATIVE_INFINITY;
  private toldAtMs = 0;

  constructor(
    private readonly wall: () => number,
    private readonly monotonicMs: () => number,
  ) {}

  now(): number {
    const atMs = this.monotonicMs();
    const wall = this.wall();
    const least = this.told + (atMs - this.toldAtMs) * CATCH_UP_PACE;
    this.told = wall >= least || least - wall > STEP_BACK_MS ? wall : least;
    this.toldAtMs = atMs;
    return Math.floor(this.told);
  }

  /** An earlier process on this data folder has told `epochMs`. */
  notBefore(epochMs: number): void {
    if (epochMs > this.now()) this.told = epochMs;
  }
}

const wall = new SteadyWall(
  () => Date.now(),
  () => performance.now(),
);

/** This machine's time. */
export const systemClock: Clock & Pick<SteadyWall, 'notBefore'> = {
  now: () => wall.now(),
  notBefore: (epochMs) => wall.notBefore(epochMs),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    if (delayMs <= 0) {
      const immediate = setImmediate(run);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(run, Math.min(delayMs, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = { fraction: Math.random, bytes: randomBytes };

/** sha256 over the texts, each ended by a NUL, as hex. */
export function digest(...texts: string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text).update('\0');
  return hash.digest('hex');
}
