/** Time and randomness enter core only through these, so that every rule can be run again exactly. */
export interface Clock {
  /** Wall clock, epoch milliseconds: for leases, key expiry and the billing month. */
  now(): number;
  /** Monotonic milliseconds with a fraction: for durations. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

export interface Random {
  /** Uniform in [0, 1). */
  fraction(): number;
  /** Cryptographically strong bytes. */
  bytes(count: number): Uint8Array;
}

/** Epoch milliseconds as RFC 3339 UTC with milliseconds. */
export const rfc3339 = (epochMs: number): string => new Date(epochMs).toISOString();
