import { Worker } from 'node:worker_threads';
import { PlatformFault } from '../../core/refusal.js';
import { distFile } from '../paths.js';
import {
  type BatchAnswers,
  type ErrorRecord,
  type FromWriter,
  isDamage,
  type KeptAnswers,
  type KillSwitch,
  type LastBatch,
  storeFaultOf,
  type ToWriter,
  type WriterData,
} from './protocol.js';

export type Settle = (error: Error | undefined, result: unknown) => void;

interface Batch {
  number: number;
  names: string[];
  inputs: unknown[];
  settles: Settle[];
  /** Writer threads that died with it. */
  deaths: number;
}

export interface WriteQueueOptions {
  path: string;
  boot: string;
  /** Called just before a batch is sent: what must be on its way before the batch can be answered. */
  beforeSend: () => void;
  /** Called when the store begins to fail, and with undefined when it works again. */
  onFault: (why: string | undefined) => void;
  /** For tests only. `times` threads end there, one after the other. */
  killSwitch?: KillSwitch & { times?: number };
}

type State = { kind: 'opening' } | { kind: 'open' } | { kind: 'faulted'; why: string; final: boolean } | { kind: 'closed' };

const PROBE_EVERY_MS = 1000;
/** A batch with which so many threads died is taken to be the cause. */
const DEATHS_AT_MOST = 3;
/** Bounds the time of one transaction, and with it the wait of those that come next. */
const STEPS_PER_BATCH = 1024;

/**
 * Group commit: steps gathered while one batch is being committed make the next one. One commit is in flight.
 *
 * If the thread dies with a batch, nobody knows from here whether it was committed; the store does. Every batch
 * writes its number (within this boot) into the one row of `batches`, in its own transaction. A new thread reads
 * that row before it does anything else, and only after the old thread's exit, so that no commit can still come:
 *  - the row names another batch: this one left nothing behind. It runs again, for the first time in effect.
 *  - the row names this batch: all of it is in. The row also holds the answers of steps that are not repeatable;
 *    they are given out. Repeatable steps (known by nonce or primary key: they change nothing the second time)
 *    run again at once, before anything else can be written, and give their answers then.
 * A store that cannot be opened any more answers with PlatformFault: the outcome is unknown to the caller, who asks
 * again with the same nonce or key. So there is never a success that is not stored, and never an effect twice.
 *
 * A disk failure inside a commit is not looked up in this way: after a failed fsync the page cache may show what
 * the disk does not hold. Its batch is answered with PlatformFault, and the thread begins anew from the files.
 */
export class WriteQueue {
  #worker: Worker | undefined;
  #state: State = { kind: 'opening' };
  #inFlight: Batch | undefined;
  #waiting: Batch = emptyBatch();
  #sendScheduled = false;
  #number = 0;
  #probe: NodeJS.Timeout | undefined;
  #killsLeft: number;
  #inFlightSince = 0;
  #deathsInARow = 0;
  #onOpened: ((fault?: Error) => void) | undefined;

  constructor(private readonly options: WriteQueueOptions) {
    this.#killsLeft = options.killSwitch ? (options.killSwitch.times ?? 1) : 0;
  }

  /** Rejects when the store cannot be opened at all. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onOpened = (fault) => (fault ? reject(fault) : resolve());
      this.#startThread();
    });
  }

  submit(name: string, input: unknown, settle: Settle): void {
    if (this.#state.kind === 'faulted' || this.#state.kind === 'closed') {
      settle(this.#refusal(), undefined);
      return;
    }
    const { names, inputs, settles } = this.#waiting;
    names.push(name);
    inputs.push(input);
    settles.push(settle);
    this.#scheduleSend();
  }

  /** Why writes fail now, if they do. */
  fault(): string | undefined {
    if (this.#state.kind === 'faulted') return this.#state.why;
    if (this.#state.kind === 'closed') return 'the store is closed';
    return undefined;
  }

  /** How long the batch in flight has been waited for. */
  waitingMs(): number {
    return this.#inFlight ? performance.now() - this.#inFlightSince : 0;
  }

  /** Commits what waits, then closes. */
  async close(): Promise<void> {
    while (this.#state.kind === 'opening' || (this.#state.kind === 'open' && (this.#inFlight || this.#waiting.names.length > 0))) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const worked = this.#state.kind === 'open';
    this.#state = { kind: 'closed' };
    clearTimeout(this.#probe);
    const worker = this.#worker;
    if (!worker) return;
    await new Promise<void>((resolve) => {
      // Its exit, not its last word: only then has SQLite let the files go.
      worker.once('exit', () => resolve());
      if (worked) worker.postMessage({ kind: 'close' } satisfies ToWriter);
      else void worker.terminate();
    });
  }

  /** For tests only: ends the thread while nothing is in flight; a kill switch ends it within a batch. */
  endThread(): void {
    if (!this.#inFlight) void this.#worker?.terminate();
  }

  #scheduleSend(): void {
    if (this.#sendScheduled || this.#inFlight || this.#state.kind !== 'open') return;
    this.#sendScheduled = true;
    // After this turn's I/O: all requests that arrived together share one commit.
    setImmediate(() => {
      this.#sendScheduled = false;
      if (this.#state.kind === 'open' && !this.#inFlight && this.#waiting.names.length > 0) this.#send(this.#next());
    });
  }

  #next(): Batch {
    const all = this.#waiting;
    if (all.names.length <= STEPS_PER_BATCH) {
      this.#waiting = emptyBatch();
      return all;
    }
    const batch = emptyBatch();
    batch.names = all.names.splice(0, STEPS_PER_BATCH);
    batch.inputs = all.inputs.splice(0, STEPS_PER_BATCH);
    batch.settles = all.settles.splice(0, STEPS_PER_BATCH);
    return batch;
  }

  #send(batch: Batch): void {
    if (batch.number === 0) {
      this.#number += 1;
      batch.number = this.#number;
    }
    this.#inFlight = batch;
    this.#inFlightSince = performance.now();
    this.options.beforeSend();
    try {
      this.#post({ kind: 'batch', number: batch.number, names: batch.names, inputs: batch.inputs });
    } catch (error) {
      this.#sendOneByOne(batch, error as Error);
    }
  }

  /** Some input cannot be cloned (a function in it): its own promise rejects, the others go on. */
  #sendOneByOne(batch: Batch, cause: Error): void {
    this.#inFlight = undefined;
    batch.names.forEach((name, i) => {
      try {
        structuredClone(batch.inputs[i]);
        this.submit(name, batch.inputs[i], batch.settles[i]!);
      } catch {
        batch.settles[i]!(new TypeError(`The input of ${name} cannot be sent to the store.`, { cause }), undefined);
      }
    });
  }

  #post(message: ToWriter): void {
    this.#worker?.postMessage(message);
  }

  #startThread(): void {
    const { path, boot, killSwitch } = this.options;
    const kill = killSwitch && this.#killsLeft > 0 ? { ...killSwitch, batch: killSwitch.batch + this.#number } : undefined;
    const worker = new Worker(distFile('store-writer.js'), { workerData: { path, boot, killSwitch: kill } satisfies WriterData });
    this.#worker = worker;
    let died: Error | undefined;
    worker.on('message', (message: FromWriter) => {
      if (worker === this.#worker) this.#hear(message);
    });
    worker.on('error', (error: Error) => {
      died = error;
    });
    worker.on('exit', () => {
      if (worker !== this.#worker) return;
      this.#worker = undefined;
      this.#threadEnded(died);
    });
  }

  #hear(message: FromWriter): void {
    if (message.kind === 'done') this.#done(message.answers);
    else if (message.kind === 'ready') this.#opened(message.last);
    else if (message.kind === 'unopened') this.#unopened(message.fault);
    else if (message.kind === 'failed') this.#failed(message.fault, message.certain);
    else if (message.kind === 'killPoint') void this.#worker?.terminate();
    else if (message.fault) this.#fault(message.fault);
    else this.#mended();
  }

  #opened(last: LastBatch): void {
    const batch = this.#inFlight;
    this.#inFlight = undefined;
    this.#mended();
    this.#onOpened?.();
    this.#onOpened = undefined;
    if (!batch) this.#scheduleSend();
    else if (last.boot === this.options.boot && last.number === batch.number) this.#wasCommitted(batch, last.kept);
    else if (batch.deaths < DEATHS_AT_MOST) this.#send(batch);
    else {
      rejectAll(batch, new PlatformFault('The store was lost each time that this write ran.'));
      this.#scheduleSend();
    }
  }

  #wasCommitted(batch: Batch, kept: KeptAnswers | undefined): void {
    const again = emptyBatch();
    const errors = new Map(kept?.errors ?? []);
    batch.settles.forEach((settle, i) => {
      const error = errors.get(i);
      if (error) settle(stepError(error), undefined);
      else if (kept?.stored[i]) settle(undefined, kept.results[i]);
      else {
        again.names.push(batch.names[i]!);
        again.inputs.push(batch.inputs[i]);
        again.settles.push(settle);
      }
    });
    if (again.names.length > 0) this.#send(again);
    else this.#scheduleSend();
  }

  #done(answers: BatchAnswers): void {
    const batch = this.#inFlight!;
    this.#inFlight = undefined;
    if (answers.errors) {
      const errors = new Map(answers.errors);
      batch.settles.forEach((settle, i) => {
        const error = errors.get(i);
        settle(error && stepError(error), answers.results[i]);
      });
    } else {
      const { settles } = batch;
      for (let i = 0; i < settles.length; i += 1) settles[i]!(undefined, answers.results[i]);
    }
    if (this.#waiting.names.length > 0) this.#scheduleSend();
  }

  #failed(fault: ErrorRecord, certain: boolean): void {
    const batch = this.#inFlight!;
    this.#inFlight = undefined;
    this.#fault(fault);
    rejectAll(batch, this.#refusal());
    if (!certain) void this.#worker?.terminate();
  }

  #unopened(fault: ErrorRecord): void {
    this.#fault(fault);
    const refusal = this.#refusal();
    if (this.#inFlight) rejectAll(this.#inFlight, refusal);
    this.#inFlight = undefined;
    if (!this.#onOpened) return;
    this.#state = { kind: 'closed' };
    this.#onOpened(refusal);
    this.#onOpened = undefined;
  }

  #threadEnded(died: Error | undefined): void {
    if (this.#state.kind === 'closed') return;
    if (this.#inFlight) this.#inFlight.deaths += 1;
    // A fault of the files is probed once a second; a thread that merely died is replaced at once.
    if (this.#state.kind === 'faulted') {
      this.#probeLater();
      return;
    }
    this.#deathsInARow = this.#state.kind === 'opening' ? this.#deathsInARow + 1 : 0;
    if (this.#deathsInARow >= DEATHS_AT_MOST) {
      this.#unopened({ message: died?.message ?? 'the writer thread ended' });
      return;
    }
    this.#state = { kind: 'opening' };
    this.#killsLeft -= 1;
    this.#startThread();
  }

  #fault(fault: ErrorRecord): void {
    const why = `${storeFaultOf(fault) ?? 'the writer thread failed'} (${fault.message})`;
    const before = this.#state;
    this.#state = { kind: 'faulted', why, final: isDamage(fault) };
    const waiting = this.#waiting;
    this.#waiting = emptyBatch();
    rejectAll(waiting, this.#refusal());
    if (before.kind !== 'faulted' || before.why !== why) this.options.onFault(why);
    this.#probeLater();
  }

  #probeLater(): void {
    if (this.#state.kind !== 'faulted' || this.#state.final || this.#onOpened) return;
    clearTimeout(this.#probe);
    this.#probe = setTimeout(() => {
      if (this.#worker) this.#post({ kind: 'probe' });
      else this.#startThread();
    }, PROBE_EVERY_MS);
    this.#probe.unref();
  }

  #mended(): void {
    const before = this.#state;
    this.#state = { kind: 'open' };
    if (before.kind === 'faulted') this.options.onFault(undefined);
  }

  #refusal(): PlatformFault {
    return new PlatformFault(`The store does not take writes: ${this.fault()}.`);
  }
}

const emptyBatch = (): Batch => ({ number: 0, names: [], inputs: [], settles: [], deaths: 0 });

function rejectAll(batch: Batch, error: Error): void {
  for (const settle of batch.settles) settle(error, undefined);
}

function stepError(record: ErrorRecord): Error {
  const error = new Error(record.message);
  if (record.stack) error.stack = record.stack;
  return error;
}
