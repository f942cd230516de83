import type { Clock } from '../../../lib/core/clock.js';

/** Time that goes on when it is told to. */
export class ManualClock implements Clock {
  private timers: { at: number; run: () => void }[] = [];

  constructor(private ms: number) {}

  now(): number {
    return this.ms;
  }
  monotonicMs(): number {
    return this.ms;
  }
  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.ms + Math.max(0, delayMs), run };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((each) => each !== timer);
    };
  }

  /** Lets everything that waits for nothing but promises happen. */
  settle(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Goes on by so much, timer by timer. */
  async advance(byMs: number): Promise<void> {
    const end = this.ms + byMs;
    for (;;) {
      await this.settle();
      const next = this.timers.filter((each) => each.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers = this.timers.filter((each) => each !== next);
      this.ms = Math.max(this.ms, next.at);
      next.run();
    }
    this.ms = end;
    await this.settle();
  }

  /** The wall clock is set, or the machine slept: no timer fires for it. */
  jump(byMs: number): void {
    this.ms += byMs;
  }

  /** What was waiting is gone, as with a process. */
  crash(): void {
    this.timers = [];
  }
}
