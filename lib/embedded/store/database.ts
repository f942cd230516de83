import { randomBytes } from 'node:crypto';
import { accessSync, chmodSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULTS } from '../../core/defaults.js';
import { PlatformFault } from '../../core/refusal.js';
import type { QueryInput, QueryName, QueryResult, StepInput, StepName, StepResult } from './concerns.js';
import { DiskRoom } from './disk-room.js';
import { type FolderLock, lockFolder } from './folder-lock.js';
import { ReadQueue } from './read-queue.js';
import { WriteQueue, type WriteQueueOptions } from './write-queue.js';

export interface DatabaseOptions {
  /** Free bytes of the disk below which nothing new is accepted. */
  diskFloorBytes?: number;
  /** For tests only: ends the writer thread at a step of its protocol. */
  killSwitch?: WriteQueueOptions['killSwitch'];
}

export type Health = { ok: true } | { ok: false; why: string };

/** A commit takes well under a millisecond of our own; a disk that needs this long has hung. */
const STALLED_MS = 5000;

/**
 * The embedded store: one writer thread with group commit, one read-only thread, over SQLite in WAL with
 * synchronous=FULL. Steps and queries are those of the concerns registered in concerns.ts.
 */
export class Database {
  readonly #writes: WriteQueue;
  readonly #reads: ReadQueue;
  readonly #room: DiskRoom;
  readonly #beforeSend: (() => void)[] = [];
  readonly #onFault: ((health: Health) => void)[] = [];

  private constructor(
    /** Where blobs, logs and code stand beside the database. */
    readonly dataDir: string,
    private readonly lock: FolderLock,
    options: DatabaseOptions,
  ) {
    const path = join(dataDir, 'fns.db');
    const tell = (): void => {
      for (const listener of this.#onFault) listener(this.health());
    };
    this.#writes = new WriteQueue({
      path,
      boot: randomBytes(8).toString('hex'),
      beforeSend: () => {
        for (const hook of this.#beforeSend) hook();
      },
      onFault: tell,
      killSwitch: options.killSwitch,
    });
    this.#reads = new ReadQueue(path);
    this.#room = new DiskRoom(dataDir, options.diskFloorBytes ?? DEFAULTS.diskFloorBytes, tell);
  }

  /** Makes the folder where it is missing. Rejects with FolderInUse, or with PlatformFault where the file cannot be used. */
  static async open(dataDir: string, options: DatabaseOptions = {}): Promise<Database> {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    makePrivate(dataDir);
    // The database would only say that it cannot be opened.
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    const database = new Database(dataDir, lockFolder(dataDir), options);
    try {
      await Promise.all([database.#writes.open(), database.#reads.open(), database.#room.start()]);
      return database;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /**
   * Runs a step in the next commit. Resolves when it is durable. Rejects with PlatformFault where the store is lost
   * (the outcome is then unknown), with another Error where the step itself threw (nothing of it is stored).
   */
  write<N extends StepName>(name: N, input: StepInput<N>): Promise<StepResult<N>> {
    return new Promise((resolve, reject) => {
      this.#writes.submit(name, input, (error, result) => (error ? reject(error) : resolve(result as StepResult<N>)));
    });
  }

  /** Sees everything that was acknowledged before it was asked. */
  read<N extends QueryName>(name: N, input: QueryInput<N>): Promise<QueryResult<N>> {
    return this.#reads.query(name, input) as Promise<QueryResult<N>>;
  }

  /** `hook` runs in the same turn, just before a batch of writes is sent: what must be written before their answers. */
  beforeSend(hook: () => void): void {
    this.#beforeSend.push(hook);
  }

  health(): Health {
    const why =
      this.#writes.fault() ?? this.#room.shortage() ?? (this.#writes.waitingMs() > STALLED_MS ? 'the disk does not answer' : undefined);
    return why === undefined ? { ok: true } : { ok: false, why };
  }

  /** Refuses new work while the store cannot take it: called by steps that accept, not by those that finish. */
  requireRoom(): void {
    const health = this.health();
    if (!health.ok) throw new PlatformFault(`The platform takes no new work: ${health.why}.`);
  }

  /** Told when health changes, both ways. */
  onFault(listener: (health: Health) => void): void {
    this.#onFault.push(listener);
  }

  /** For tests only: ends the writer thread between two batches. */
  endWriterThread(): void {
    this.#writes.endThread();
  }

  /** Commits what waits, then lets the folder go. */
  async close(): Promise<void> {
    this.#room.stop();
    // A reader would keep the log from being folded into the database.
    await this.#reads.close();
    await this.#writes.close();
    this.lock.release();
  }
}

/** Nobody else's, whoever made it: functions run under other users of this machine. */
function makePrivate(folder: string): void {
  try {
    chmodSync(folder, 0o700);
  } catch {
    // A file system without modes, or a folder that is lent to us: whether it can be written shows at once.
  }
}
