import type { Clock } from '../../core/clock.js';

/** Removes a small piece of what has grown too old; answers whether there may be more. */
export type ExpiryPiece = (now: number) => Promise<boolean>;

/** Rows that one step removes at most: a few milliseconds of the writer, in a batch with everyone else's steps. */
export const PIECE_ROWS = 500;
const ROUND_EVERY_MS = 60_000;
/** Between two pieces the writer belongs to the others. */
const REST_MS = 25;

/** Expiry in small pieces, so that nobody's commit waits for it. Correctness never depends on it: what is too old is refused by the code that reads it. */
export class Expiry {
  #stopped = false;
  #cancel: () => void = () => {};

  constructor(
    private readonly clock: Clock,
    private readonly pieces: readonly ExpiryPiece[],
    private readonly onFault: (error: unknown) => void = () => {},
  ) {}

  start(): void {
    this.#cancel = this.clock.after(ROUND_EVERY_MS, () => {
      this.round()
        .catch(this.onFault)
        .finally(() => {
          if (!this.#stopped) this.start();
        });
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Everything that is too old now. */
  async round(): Promise<void> {
    for (const piece of this.pieces) {
      while (!this.#stopped && (await piece(this.clock.now()))) {
        await new Promise<void>((resolve) => this.clock.after(REST_MS, resolve));
      }
    }
  }
}
