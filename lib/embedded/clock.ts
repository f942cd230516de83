import { createHash, randomBytes } from 'node:crypto';
import type { Clock, Random } from '../core/clock.js';

/** This machine's time. */
export const systemClock: Clock = {
  now: Date.now,
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
