/** Messages between the main thread and the store's two threads, and errors in a form that they can carry. */

/** Where a test may end the writer thread; see `KillSwitch`. */
export const KILL_POINTS = ['batch-received', 'in-transaction', 'before-commit', 'after-commit'] as const;
export type KillPoint = (typeof KILL_POINTS)[number];

/** For tests only: the writer thread stops at this point of that batch and is terminated there. Absent in the product. */
export interface KillSwitch {
  point: KillPoint;
  batch: number;
}

/** `<point>:<batches>:<times>`: after so many batches, so many times. Undefined where the text is none. */
export function killSwitchFrom(text: string): (KillSwitch & { times: number }) | undefined {
  const [name, batch, times] = text.split(':');
  const point = KILL_POINTS.find((each) => each === name);
  return point && Number(batch) >= 0 && Number(times) > 0 ? { point, batch: Number(batch), times: Number(times) } : undefined;
}

export interface WriterData {
  path: string;
  /** Names this opening of the data folder: batch numbers count within it. */
  boot: string;
  killSwitch?: KillSwitch;
}

export interface ReaderData {
  path: string;
}

export type ToWriter = { kind: 'batch'; number: number; names: string[]; inputs: unknown[] } | { kind: 'probe' } | { kind: 'close' };

export type FromWriter =
  | { kind: 'ready'; last: LastBatch }
  | { kind: 'unopened'; fault: ErrorRecord }
  | { kind: 'done'; number: number; answers: BatchAnswers }
  /** Rolled back, or of unknown outcome when `certain` is false. */
  | { kind: 'failed'; number: number; fault: ErrorRecord; certain: boolean }
  | { kind: 'probed'; fault?: ErrorRecord }
  /** For tests only: the thread waits to be terminated. */
  | { kind: 'killPoint' };

/** What the store says was committed last: written in the transaction of the batch itself. */
export interface LastBatch {
  boot: string;
  number: number;
  kept?: KeptAnswers;
}

export interface BatchAnswers {
  /** One a step, in order. */
  results: unknown[];
  errors?: [step: number, error: ErrorRecord][];
}

/** Answers stored with the batch: those of steps that cannot be run again to have them. */
export interface KeptAnswers extends BatchAnswers {
  /** Whether `results` holds this step's answer. */
  stored: boolean[];
}

export type ToReader = { kind: 'queries'; ids: number[]; names: string[]; inputs: unknown[] } | { kind: 'close' };
export type FromReader =
  | { kind: 'ready' }
  | { kind: 'answers'; ids: number[]; results: unknown[]; errors?: [index: number, error: ErrorRecord][] };

export interface ErrorRecord {
  message: string;
  stack?: string;
  /** SQLite's primary result code where the store itself failed. */
  sqliteCode?: number;
}

export function errorRecord(error: unknown): ErrorRecord {
  if (!(error instanceof Error)) return { message: String(error) };
  const { errcode } = error as { errcode?: number };
  // Some calls of the addon throw SQLite's message without its code.
  const code = errcode ?? STORE_FAULTS.find((fault) => fault.message === error.message)?.code;
  return { message: error.message, stack: error.stack, sqliteCode: code === undefined ? undefined : code & 0xff };
}

/** Primary result codes of SQLite (sqlite.org/rescode.html) that mean the store failed, not the step. */
const STORE_FAULTS: { code: number; message: string; meaning: string }[] = [
  { code: 3, message: 'access permission denied', meaning: 'no permission on the file' },
  { code: 5, message: 'database is locked', meaning: 'the file is locked by another process' },
  { code: 7, message: 'out of memory', meaning: 'out of memory' },
  { code: 8, message: 'attempt to write a readonly database', meaning: 'the file is read-only' },
  { code: 10, message: 'disk I/O error', meaning: 'the disk failed to read or write' },
  { code: 11, message: 'database disk image is malformed', meaning: 'the file is damaged' },
  { code: 13, message: 'database or disk is full', meaning: 'the disk is full' },
  { code: 14, message: 'unable to open database file', meaning: 'the file cannot be opened' },
  { code: 26, message: 'file is not a database', meaning: 'the file is damaged (not a database)' },
];
export const storeFaultOf = (error: ErrorRecord): string | undefined =>
  STORE_FAULTS.find((fault) => fault.code === error.sqliteCode)?.meaning;
/** Damage does not mend itself: unlike a full disk it stays until someone restores the file. */
export const isDamage = (error: ErrorRecord): boolean => error.sqliteCode === 11 || error.sqliteCode === 26;
/** The operating system refused or failed: what is on disk is unknown until the file was opened again. */
export const isDiskFailure = (error: ErrorRecord): boolean => error.sqliteCode === 10;
