import { Worker } from 'node:worker_threads';
import type { Clock } from '../../core/clock.js';
import { DEFAULTS } from '../../core/defaults.js';
import type { LogFollow, LogLine, LogQuery, LogReader, LogSink } from '../../core/logs/model.js';
import type { Page } from '../../core/page.js';
import { invalidField, PlatformFault } from '../../core/refusal.js';
import { distFile } from '../paths.js';
import { decodeCursor, encodeCursor } from './cursor.js';
import { Follower } from './follower.js';
import { type LogHits, type LogSearch, type LogStoreOptions, logFolder } from './log-store.js';
import { Outbox } from './outbox.js';
import type { FromLogThread, LogThreadData, LogThreadHealth, ToLogThread } from './protocol.js';
import { type KeptLine, ownerOf } from './records.js';

/** A thread that ended by itself is started again after this long. */
const RESTART_MS = 500;
const FOLLOW_PAGE = 1_000;

interface Waiting {
  resolve(message: FromLogThread): void;
  reject(error: Error): void;
}

/** Asks that expect an answer, before their number is given. */
type Ask = ToLogThread extends infer Each ? (Each extends { id: number } ? Omit<Each, 'id'> : never) : never;

/**
 * Log lines of one machine: `append` puts them in a batch, a thread of its own redacts, stores and searches.
 * Lost when the process is killed: what was not handed over yet, 15 ms or 256 KB at most, and what the thread had
 * not taken from its queue.
 */
export class SegmentLogs implements LogSink, LogReader {
  private worker: Worker | undefined;
  private readonly outbox: Outbox;
  private readonly waiting = new Map<number, Waiting>();
  private readonly followers = new Map<string, Set<Follower>>();
  private nextId = 1;
  private closing = false;
  private threadHealth: LogThreadHealth = { lost: 0, damaged: 0 };

  private constructor(
    private readonly data: LogThreadData,
    clock: Clock,
  ) {
    this.outbox = new Outbox(clock, (message) => this.worker?.postMessage(message));
    this.start();
  }

  /** @param clock for the times of the platform's own lines. */
  static open(dataDir: string, clock: Clock, options: Partial<LogStoreOptions> = {}): SegmentLogs {
    const retention = { hotMs: DEFAULTS.logHotMs, archiveMs: DEFAULTS.logArchiveMs };
    return new SegmentLogs({ folder: logFolder(dataDir), options: { ...retention, ...options } }, clock);
  }

  append(line: LogLine): void {
    if (!this.closing) this.outbox.add(line);
  }

  async search(query: LogQuery): Promise<Page<LogLine>> {
    const { cursor, ...search } = query;
    const order = query.order ?? 'asc';
    const beyondSeq = cursor === undefined ? undefined : decodeCursor(cursor, order);
    if (cursor !== undefined && beyondSeq === undefined) throw invalidField('cursor', 'is none that this list has given');
    const hits = await this.find({ ...search, beyondSeq });
    return { items: hits.lines, nextCursor: hits.nextSeq === undefined ? undefined : encodeCursor(hits.nextSeq, order) };
  }

  async *follow(query: LogFollow, signal: AbortSignal): AsyncGenerator<LogLine> {
    if (signal.aborted) return;
    const owner = ownerOf(query);
    const follower = new Follower(query, signal);
    const others = this.followers.get(owner) ?? new Set();
    this.followers.set(owner, others.add(follower));
    try {
      this.outbox.flush();
      const watching = (await this.ask({ kind: 'watch', owner })) as FromLogThread & { kind: 'watching' };
      // Old lines up to where watching began, then what has come since: none twice, none missing.
      if (query.fromMs !== undefined) yield* this.past(query, watching.lastSeq, signal);
      for (;;) {
        const lines = (await follower.take()) as KeptLine[];
        if (lines.length === 0) return;
        yield* lines.filter(({ seq }) => seq === undefined || seq > watching.lastSeq);
      }
    } finally {
      others.delete(follower);
      if (others.size === 0) this.followers.delete(owner);
      this.post({ kind: 'unwatch', owner });
    }
  }

  /** For /readyz: `dropped` lines were never stored. */
  health(): { ok: boolean; detail?: string; dropped: number; damaged: number } {
    const { fault, lost, damaged } = this.threadHealth;
    const detail = this.worker ? fault : 'The log thread has ended and is being started again.';
    return { ok: detail === undefined, detail, dropped: this.outbox.dropped + lost, damaged };
  }

  /** Seals, archives and removes what is due at `now`; done every minute by itself. */
  async maintain(now: number): Promise<void> {
    this.outbox.flush();
    await this.ask({ kind: 'maintain', now });
  }

  /** Ends all streams of followers, so that a server that waits for its connections can stop. */
  endFollowers(): void {
    for (const followers of this.followers.values()) for (const follower of followers) follower.end();
  }

  /** Everything appended before is in the files when it resolves. */
  async close(): Promise<void> {
    if (this.closing) return;
    this.endFollowers();
    this.outbox.flush();
    this.closing = true;
    const { worker } = this;
    if (!worker) return;
    await new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
      worker.postMessage({ kind: 'close' } satisfies ToLogThread);
    });
  }

  private async find(search: LogSearch): Promise<LogHits> {
    this.outbox.flush();
    return ((await this.ask({ kind: 'search', search })) as FromLogThread & { kind: 'found' }).hits;
  }

  private async *past(query: LogFollow, untilSeq: number, signal: AbortSignal): AsyncGenerator<LogLine> {
    for (let beyondSeq: number | undefined; !signal.aborted; ) {
      const hits = await this.find({ ...query, order: 'asc', limit: FOLLOW_PAGE, beyondSeq, untilSeq });
      yield* hits.lines;
      if (hits.nextSeq === undefined) return;
      beyondSeq = hits.nextSeq;
    }
  }

  private ask(message: Ask): Promise<FromLogThread> {
    const id = this.nextId;
    this.nextId += 1;
    return new Promise((resolve, reject) => {
      if (!this.worker || this.closing) return reject(new PlatformFault('The log thread is not running.'));
      this.waiting.set(id, { resolve, reject });
      this.post({ ...message, id } as ToLogThread);
    });
  }

  private post(message: ToLogThread): void {
    if (!this.closing) this.worker?.postMessage(message);
  }

  private start(): void {
    const worker = new Worker(distFile('log-thread.js'), { workerData: this.data, name: 'fns-logs' });
    this.worker = worker;
    worker.on('message', (message: FromLogThread) => this.receive(message));
    // 'exit' follows an error; without a listener the error would end the process.
    worker.on('error', () => {});
    worker.once('exit', () => this.ended(worker));
    for (const [owner, followers] of this.followers) for (const _ of followers) this.post({ kind: 'watch', id: 0, owner });
  }

  private ended(worker: Worker): void {
    if (this.worker !== worker) return;
    this.worker = undefined;
    for (const { reject } of this.waiting.values()) reject(new PlatformFault('The log thread ended before it answered.'));
    this.waiting.clear();
    if (this.closing) return;
    this.outbox.threadEnded();
    setTimeout(() => {
      if (this.closing) return;
      // What was handed over to nobody meanwhile.
      this.outbox.threadEnded();
      this.start();
    }, RESTART_MS).unref();
  }

  private receive(message: FromLogThread): void {
    switch (message.kind) {
      case 'kept':
        this.threadHealth = message.health;
        this.outbox.kept(message.chars, message.lines);
        return;
      case 'new':
        for (const follower of this.followers.get(message.owner) ?? []) follower.offer(message.lines);
        return;
      case 'failed':
        this.waiting.get(message.id)?.reject(new PlatformFault(`The logs could not be read (${message.why}).`));
        break;
      default:
        this.waiting.get(message.id)?.resolve(message);
    }
    this.waiting.delete(message.id);
  }
}
