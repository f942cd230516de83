import type { Writer } from './writer.js';

/** Nothing written for this long: a good moment. */
const IDLE_MS = 40;
/** Steps after which an idle moment is used. */
const STEPS_WHEN_IDLE = 200;
/** Under steady load there is no idle moment: then after so many steps, so that the log stays near its first size. */
const STEPS_AT_MOST = 4_000;
/** A log larger than this (a long read had held it) is cut back. */
const TRUNCATE_ABOVE_PAGES = 32_768;

/**
 * Moves committed pages from the log to the database in small pieces. SQLite's own trigger would do it inside some
 * caller's commit every 1,000 pages; here it waits for a pause, and answers of the batch before it are already sent.
 */
export class Checkpoints {
  #steps = 0;
  #lastWriteAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly writer: Writer) {}

  wrote(steps: number): void {
    this.#steps += steps;
    this.#lastWriteAt = performance.now();
    if (this.#steps >= STEPS_AT_MOST) this.#run();
    else if (this.#steps >= STEPS_WHEN_IDLE && !this.#timer) this.#timer = setTimeout(() => this.#look(), IDLE_MS);
  }

  #look(): void {
    this.#timer = undefined;
    if (this.#steps < STEPS_WHEN_IDLE) return;
    if (performance.now() - this.#lastWriteAt >= IDLE_MS - 1) this.#run();
    else this.#timer = setTimeout(() => this.#look(), IDLE_MS);
  }

  #run(): void {
    this.#steps = 0;
    try {
      const { walPages } = this.writer.checkpoint(false);
      if (walPages > TRUNCATE_ABOVE_PAGES) this.writer.checkpoint(true);
    } catch {
      // What is in the log stays there and is safe; a real failure of the disk shows at the next commit.
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
