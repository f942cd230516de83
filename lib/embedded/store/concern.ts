import type { DatabaseSyncInstance } from '@photostructure/sqlite';

/** A step runs inside the writer thread's group commit; it must be short and must not begin or end transactions. */
// biome-ignore lint/suspicious/noExplicitAny: the registry keeps each step's own types
export type Step = (db: DatabaseSyncInstance, input: any) => unknown;

/**
 * What a concern brings to the store: its tables, the steps that change them (writer thread) and the queries
 * that read them (read-only thread). Inputs and results are plain values that structured clone can carry.
 * `db.prepare(sql)` is cached by its text in both threads: call it where it is used.
 */
export interface Concern {
  /** `CREATE TABLE IF NOT EXISTS …;` */
  schema: string;
  /** Names are `<concern>.<step>`. */
  steps: Record<string, Step>;
  queries: Record<string, Step>;
  /**
   * Steps that change nothing and answer the same when they run a second time, known by a nonce or a primary key.
   * Their answers need not be kept for the case that the writer thread dies after a commit (see write-queue.ts).
   */
  repeatable?: readonly string[];
}
