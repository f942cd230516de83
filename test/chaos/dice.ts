/** Chance that can be thrown again: the same seed gives the same history of decisions (mulberry32). */
export class Dice {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  pick<T>(from: readonly T[]): T {
    return from[this.between(0, from.length - 1)] as T;
  }

  chance(share: number): boolean {
    return this.fraction() < share;
  }
}

/** From FNS_CHAOS_SEED, else new; printed, so that a failure can be run again. */
export function dice(): Dice {
  const thrown = new Dice(Number(process.env.FNS_CHAOS_SEED) || Date.now() % 1_000_000);
  process.stdout.write(`  FNS_CHAOS_SEED=${thrown.seed}\n`);
  return thrown;
}
