import { deserialize, serialize } from 'node:v8';
import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';
import type { Concern, Step } from './concern.js';
import { type BatchAnswers, type ErrorRecord, errorRecord, type KeptAnswers, type LastBatch, storeFaultOf } from './protocol.js';
import { requireShape } from './shape.js';
import { cacheStatements } from './statements.js';

/** The write-ahead log is this large from the start: appending to a file that has its blocks spares each fsync the metadata. */
const LOG_BYTES = 16 * 1024 * 1024;
const CACHE_KB = 32 * 1024;

const BATCHES = `
CREATE TABLE IF NOT EXISTS batches (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  boot TEXT NOT NULL,
  number INTEGER NOT NULL,
  answers BLOB,
  openings INTEGER NOT NULL
);`;

type Watch = (point: 'in-transaction' | 'before-commit') => void;

interface KnownStep {
  run: Step;
  repeatable: boolean;
}

/** The one connection that writes. It belongs to the writer thread and knows nothing of threads. */
export class Writer {
  readonly #db: DatabaseSyncInstance;
  readonly #steps = new Map<string, KnownStep>();
  readonly #boot: string;
  readonly last: LastBatch;

  constructor(path: string, boot: string, concerns: readonly Concern[]) {
    this.#boot = boot;
    this.#db = cacheStatements(new DatabaseSync(path, { timeout: 5000 }));
    this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;');
    requireShape(
      this.#db,
      concerns.map(({ schema }) => schema),
    );
    this.#growLog();
    for (const { schema, steps, repeatable } of concerns) {
      this.#db.exec(schema);
      for (const [name, run] of Object.entries(steps)) {
        if (this.#steps.has(name)) throw new Error(`Two concerns name a step ${name}.`);
        this.#steps.set(name, { run, repeatable: repeatable?.includes(name) ?? false });
      }
    }
    this.last = this.#open();
  }

  /** Pages that a transaction spills to the log stay allocated in it when it is rolled back: grown, and nothing written to the database. */
  #growLog(): void {
    this.#db.exec('PRAGMA cache_size = 16; PRAGMA cache_spill = 8; BEGIN IMMEDIATE; CREATE TABLE grow (bytes BLOB);');
    this.#db.exec(`INSERT INTO grow VALUES (zeroblob(${LOG_BYTES})); ROLLBACK;`);
    this.#db.exec(`PRAGMA cache_size = -${CACHE_KB}; PRAGMA cache_spill = ${CACHE_KB / 4};`);
  }

  /**
   * What was committed last. The write makes it durable: in a log whose last frames a dead thread had written but
   * not yet synced, this commit's fsync covers them too, so that nothing is believed which a power cut could undo.
   */
  #open(): LastBatch {
    this.#db.exec(BATCHES);
    this.#db.prepare(`INSERT INTO batches VALUES (1, ?, 0, NULL, 1) ON CONFLICT DO UPDATE SET openings = openings + 1`).run(this.#boot);
    const row = this.#db.prepare('SELECT boot, number, answers FROM batches').get() as {
      boot: string;
      number: number;
      answers: Uint8Array | null;
    };
    return { boot: row.boot, number: row.number, kept: row.answers ? (deserialize(row.answers) as KeptAnswers) : undefined };
  }

  /**
   * Answers of every step, committed; throws when the store itself failed, and then nothing of the batch is in it
   * (or, after a disk failure, nobody knows).
   */
  run(number: number, names: readonly string[], inputs: readonly unknown[], at: Watch): BatchAnswers {
    // A savepoint a step costs a third of a batch's time, so only a batch in which something threw pays for them.
    return (
      this.#transaction(number, names, at, () => this.#plain(names, inputs)) ??
      this.#transaction(number, names, at, () => this.#guarded(names, inputs))!
    );
  }

  /** Undefined: a step threw, and all is rolled back. */
  #transaction(number: number, names: readonly string[], at: Watch, steps: () => BatchAnswers | undefined): BatchAnswers | undefined {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      at('in-transaction');
      const answers = steps();
      if (answers) {
        this.#keep(number, names, answers);
        at('before-commit');
        this.#db.exec('COMMIT');
      } else {
        this.#rollback();
      }
      return answers;
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  #plain(names: readonly string[], inputs: readonly unknown[]): BatchAnswers | undefined {
    const results: unknown[] = new Array(names.length);
    try {
      for (let i = 0; i < names.length; i += 1) results[i] = this.#step(names[i]!).run(this.#db, inputs[i]);
      return { results };
    } catch (error) {
      if (storeFaultOf(errorRecord(error))) throw error;
      return undefined;
    }
  }

  /** Each step in a savepoint of its own: one that throws leaves nothing behind and spoils nobody's. */
  #guarded(names: readonly string[], inputs: readonly unknown[]): BatchAnswers {
    const results: unknown[] = new Array(names.length);
    const errors: [number, ErrorRecord][] = [];
    for (let i = 0; i < names.length; i += 1) {
      this.#db.exec('SAVEPOINT step');
      try {
        results[i] = this.#step(names[i]!).run(this.#db, inputs[i]);
      } catch (error) {
        const record = errorRecord(error);
        if (storeFaultOf(record)) throw error;
        this.#db.exec('ROLLBACK TO step');
        errors.push([i, record]);
      }
      this.#db.exec('RELEASE step');
    }
    return { results, errors };
  }

  #step(name: string): KnownStep {
    const step = this.#steps.get(name);
    if (!step) throw new Error(`The store has no step ${name}.`);
    return step;
  }

  /** The batch's own mark, in its own transaction, with the answers that could not be had again by running the step once more. */
  #keep(number: number, names: readonly string[], answers: BatchAnswers): void {
    const stored = names.map((name) => !this.#steps.get(name)?.repeatable);
    const kept: KeptAnswers = { ...answers, stored, results: answers.results.map((result, i) => (stored[i] ? result : undefined)) };
    const needed = answers.errors !== undefined || stored.includes(true);
    this.#db.prepare('UPDATE batches SET boot = ?, number = ?, answers = ?').run(this.#boot, number, needed ? serialize(kept) : null);
  }

  #rollback(): void {
    // SQLite rolls some failures back by itself (disk full, for one), and then refuses the ROLLBACK.
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
  }

  /** A commit that changes nothing of value: does the store take writes again? */
  probe(): void {
    this.#db.exec('UPDATE batches SET openings = openings + 1');
  }

  checkpoint(truncate: boolean): { walPages: number; donePages: number } {
    const row = this.#db.prepare(`PRAGMA wal_checkpoint(${truncate ? 'TRUNCATE' : 'PASSIVE'})`).get() as {
      log: number;
      checkpointed: number;
    };
    return { walPages: row.log, donePages: row.checkpointed };
  }

  /** With an empty log the database file is whole by itself. */
  close(): void {
    try {
      this.checkpoint(true);
    } finally {
      this.#db.close();
    }
  }
}
