import { Worker } from 'node:worker_threads';
import { PlatformFault } from '../../core/refusal.js';
import { distFile } from '../paths.js';
import type { ErrorRecord, FromReader, ReaderData, ToReader } from './protocol.js';
import { storeFaultOf } from './protocol.js';

interface Query {
  name: string;
  input: unknown;
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
  deaths: number;
}

const DEATHS_AT_MOST = 2;
const RESTART_MS = 1000;

/** Queries of one turn go to the read-only thread in one message. A thread that died is replaced, and its queries run again: they change nothing. */
export class ReadQueue {
  #worker: Worker | undefined;
  #queries = new Map<number, Query>();
  #unsent: number[] = [];
  #nextId = 1;
  #closed = false;
  #started = Promise.resolve();

  constructor(private readonly path: string) {}

  open(): Promise<void> {
    this.#start();
    return this.#started;
  }

  query(name: string, input: unknown): Promise<unknown> {
    if (this.#closed) return Promise.reject(new PlatformFault('The store is closed.'));
    return new Promise((resolve, reject) => {
      const id = this.#nextId;
      this.#nextId += 1;
      this.#queries.set(id, { name, input, resolve, reject, deaths: 0 });
      this.#unsent.push(id);
      if (this.#unsent.length === 1) queueMicrotask(() => this.#send());
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (!worker) return;
    await new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
      worker.postMessage({ kind: 'close' } satisfies ToReader);
    });
    for (const query of this.#queries.values()) query.reject(new PlatformFault('The store is closed.'));
  }

  #send(): void {
    const ids = this.#unsent;
    this.#unsent = [];
    const queries = ids.map((id) => this.#queries.get(id)!);
    try {
      const message: ToReader = { kind: 'queries', ids, names: queries.map((q) => q.name), inputs: queries.map((q) => q.input) };
      this.#worker?.postMessage(message);
    } catch (error) {
      for (const id of ids)
        this.#settle(id, (query) => query.reject(new TypeError('A query cannot be sent to the store.', { cause: error })));
    }
  }

  #start(): void {
    const worker = new Worker(distFile('store-reader.js'), { workerData: { path: this.path } satisfies ReaderData });
    this.#worker = worker;
    let died: Error | undefined;
    let started = false;
    this.#started = new Promise((resolve, reject) => {
      worker.on('error', (error: Error) => {
        died = error;
        reject(new PlatformFault('The store cannot be read.', { cause: error }));
      });
      worker.on('message', (message: FromReader) => {
        started = true;
        if (message.kind === 'ready') resolve();
        else this.#answered(message);
      });
    });
    this.#started.catch(() => {});
    worker.on('exit', () => {
      if (!this.#closed) this.#ended(died, started);
    });
  }

  /** A thread that could not even start is not started again in a tight circle. */
  #ended(died: Error | undefined, started: boolean): void {
    this.#worker = undefined;
    for (const [id, query] of this.#queries) {
      query.deaths += 1;
      if (query.deaths <= DEATHS_AT_MOST) continue;
      this.#settle(id, (q) => q.reject(new PlatformFault('The store cannot be read.', { cause: died })));
    }
    setTimeout(() => this.#again(), started ? 0 : RESTART_MS).unref();
  }

  #again(): void {
    if (this.#closed) return;
    this.#start();
    this.#unsent = [...this.#queries.keys()];
    if (this.#unsent.length > 0) this.#send();
  }

  #answered(message: Extract<FromReader, { kind: 'answers' }>): void {
    const errors = new Map(message.errors ?? []);
    message.ids.forEach((id, i) => {
      const error = errors.get(i);
      this.#settle(id, (query) => (error ? query.reject(readError(query.name, error)) : query.resolve(message.results[i])));
    });
  }

  #settle(id: number, how: (query: Query) => void): void {
    const query = this.#queries.get(id);
    this.#queries.delete(id);
    if (query) how(query);
  }
}

function readError(name: string, record: ErrorRecord): Error {
  const fault = storeFaultOf(record);
  if (fault) return new PlatformFault(`The store cannot be read: ${fault}.`, { cause: new Error(record.message) });
  const error = new Error(`${name}: ${record.message}`);
  if (record.stack) error.stack = record.stack;
  return error;
}
