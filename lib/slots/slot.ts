import { DEFAULTS } from '../core/defaults.js';
import type { ErrorInfo } from '../core/invocations/model.js';
import { STUCK_MS } from '../core/scheduling/placement.js';
import type { SlotEnd, SlotSpec } from '../core/scheduling/port.js';
import { CallOutput } from './call-output.js';
import { type Doom, verdictOnDeath } from './death.js';
import { type Assignment, encodeCalls, encodeFrame, Frame, FrameError } from './frames.js';
import { Inbox, type InboxListener } from './inbox.js';
import { type Job, roundedMs, SlotErrors } from './job.js';
import { type LaunchedSlot, RUNTIME_OVERHEAD_MB, type SlotExit, type SlotKind } from './launcher.js';
import type { Outcome, SlotParts } from './parts.js';
import { RunningCalls } from './running-calls.js';

/** What a slot tells its pool. */
export interface SlotOwner {
  ready(slot: Slot): void;
  /** There is room for more calls, or the slot is idle. */
  freed(slot: Slot): void;
  /** Handler time of calls that have just been answered, ms. */
  served(calls: number, totalMs: number): void;
  /** Not started, to be placed again before all others, in this order. */
  returned(jobs: Job[]): void;
  /** The process has ended. `initError` where its code never was loaded. */
  ended(slot: Slot, initError: ErrorInfo | undefined): void;
}

/** An exit is final this long after it was seen, even where a descendant holds the channel open; a kill after the longer one. */
const EXIT_GRACE_MS = 100;
const KILL_GRACE_MS = 2000;
const MEMORY_CHECK_MS = 50;
const RETURNS_MAX = 2;

/** One process that runs one function version for one tenant. Keeps the clock of its calls; what the process says of itself is shown, never billed. */
export class Slot implements InboxListener {
  state: 'starting' | 'ready' | 'ended' = 'starting';
  /** No new calls: the process ends when the running ones have. */
  isDoomed = false;
  isFrozen = false;
  idleSince: number;
  readyAt = 0;
  callsDone = 0;
  readonly calls: RunningCalls;
  private readonly output: CallOutput;
  private readonly perSlot: number;
  private readonly timeoutMs: number;
  private doom: Doom | undefined;
  private killedAt = 0;
  private exit: SlotExit | undefined;
  private exitSeenAt = 0;
  private isClosed = false;
  /** The kernel refused what was written, or the process ended with it unread. */
  private isUnread = false;
  private unsent: Job[] = [];
  private isFlushing = false;
  private isRecalled = false;
  private memoryCheckedAt = 0;
  private assignedAt = Number.POSITIVE_INFINITY;
  private servedMs = 0;
  private servedCalls = 0;

  constructor(
    readonly spec: SlotSpec,
    private readonly launched: LaunchedSlot,
    private readonly kind: SlotKind,
    private readonly owner: SlotOwner,
    private readonly parts: SlotParts,
    /** Monotonic ms at which the wish for a slot arose. */
    private readonly wishedAt: number,
    /** Started for a call that waits, not to be kept warm. */
    readonly isForCall: boolean,
  ) {
    this.perSlot = Math.max(1, spec.concurrency.perSlot);
    this.timeoutMs = spec.timeoutSec * 1000;
    this.idleSince = wishedAt;
    this.calls = new RunningCalls(this.perSlot);
    this.output = new CallOutput(spec, parts.logs, parts.clock, launched, this.calls);
    this.listen();
  }

  get pid(): number {
    return this.launched.pid;
  }

  /** From the wish for a slot until its code was loaded. */
  get startMs(): number {
    return this.readyAt - this.wishedAt;
  }

  get isEmpty(): boolean {
    return this.calls.jobs.length === 0;
  }

  assign(assignment: Assignment): void {
    this.assignedAt = this.parts.clock.monotonicMs();
    this.launched.socket.write(encodeFrame(Frame.ASSIGN, JSON.stringify(assignment)));
  }

  send(job: Job): void {
    if (this.isFrozen) this.thaw();
    this.calls.add(job);
    this.unsent.push(job);
    if (this.isFlushing) return;
    this.isFlushing = true;
    // One write for all calls of this turn of the event loop.
    setImmediate(this.flush);
  }

  /** Ends the process when its running calls have ended. */
  retire(): void {
    this.isDoomed = true;
    if (this.isEmpty) this.kill({ kind: 'retired' });
  }

  /** Ends the process now; running calls are lost by our fault. */
  shutDown(): void {
    this.kill({ kind: 'shutdown' });
  }

  /** Called every few tens of ms: deadlines, memory, freezing. */
  tick(now: number): void {
    if (this.state === 'ended') return;
    if (this.killedAt > 0 || this.exit) {
      const isFinal = this.exit ? now - this.exitSeenAt > EXIT_GRACE_MS : now - this.killedAt > KILL_GRACE_MS;
      if (isFinal) this.finish();
    } else if (this.state === 'starting') {
      const limit = DEFAULTS.initTimeoutMs;
      if (now - this.assignedAt > limit) this.kill({ kind: 'init', error: SlotErrors.initTimeout(limit) });
      else this.watchMemory(now);
    } else if (this.isEmpty) {
      if (!this.isFrozen && now - this.idleSince >= DEFAULTS.freezeAfterIdleMs) this.freeze();
    } else {
      this.watchMemory(now);
      this.watchDeadlines(now);
    }
  }

  /* ---- what the inbox tells */

  onLoaded(error: ErrorInfo | undefined, now: number): void {
    if (this.state !== 'starting') throw new FrameError('It said twice that its code is loaded.');
    if (this.doom) return;
    this.output.loaded();
    if (error) {
      this.kill({ kind: 'init', error });
      return;
    }
    this.state = 'ready';
    this.readyAt = now;
    this.idleSince = now;
    this.owner.ready(this);
  }

  onResult(id: number, text: string, now: number): void {
    const job = this.calls.take(id);
    if (!job) return;
    const durationMs = this.answered(job, now);
    if (this.isTooLate(job)) this.settle(job, 'timedOut', durationMs, SlotErrors.timedOut(this.spec.timeoutSec));
    else this.settleResult(job, text, durationMs);
  }

  /** @param isBroken the process can't go on after this call. */
  onError(id: number, error: ErrorInfo, isBroken: boolean, now: number): void {
    if (isBroken) this.isDoomed = true;
    if (isBroken && id === 0) return;
    const job = this.calls.take(id);
    if (!job) return;
    const durationMs = this.answered(job, now);
    if (this.isTooLate(job)) this.settle(job, 'timedOut', durationMs, SlotErrors.timedOut(this.spec.timeoutSec));
    else this.settle(job, 'failed', durationMs, error);
  }

  onHead(id: number, json: string): void {
    const job = this.streamedCall(id);
    if (job) this.holdBack(job.call.onChunk!({ kind: 'head', json }));
  }

  onData(id: number, bytes: Uint8Array): void {
    const job = this.streamedCall(id);
    if (job) this.holdBack(job.call.onChunk!({ kind: 'data', bytes }));
  }

  onReturned(ids: readonly number[], now: number): void {
    this.isRecalled = false;
    const jobs = this.calls.giveBack(ids, now, this.isDoomed);
    if (jobs.length > 0) this.owner.returned(jobs);
  }

  onLog(id: number, stream: number, bytes: Buffer, from: number, to: number): void {
    this.output.tagged(id, stream, bytes, from, to);
  }

  onDropped(id: number, bytes: number): void {
    this.output.dropped(id, bytes);
  }

  onForged(what: string): void {
    this.kill({ kind: 'forged', what });
  }

  onFault(error: unknown): void {
    this.parts.onFault(error);
  }

  /** Everything that was read at once has been taken in. */
  onRead(now: number): void {
    if (this.servedCalls > 0) {
      this.owner.served(this.servedCalls, this.servedMs);
      this.servedCalls = 0;
      this.servedMs = 0;
    }
    if (this.state !== 'ready' || this.doom) return;
    if (this.isEmpty) {
      this.idleSince = now;
      if (this.spec.processModel === 'one-shot' && this.callsDone > 0) this.isDoomed = true;
      if (this.isDoomed) this.kill({ kind: 'retired' });
    }
    if (!this.isDoomed) this.owner.freed(this);
  }

  /* ---- inside */

  private listen(): void {
    const { socket, exited } = this.launched;
    const inbox = new Inbox(this, this.parts.clock);
    socket.on('data', (chunk: Buffer) => {
      if (this.state !== 'ended' && this.doom?.kind !== 'forged') inbox.read(chunk);
    });
    socket.on('error', () => {
      this.isUnread = true;
    });
    socket.on('close', () => {
      this.isClosed = true;
      // A process that gives up its channel can't be reached any more.
      if (this.exit) this.finish();
      else this.launched.kill();
    });
    void exited.then((exit) => {
      this.exit = exit;
      this.exitSeenAt = this.parts.clock.monotonicMs();
      if (this.isClosed) this.finish();
    });
  }

  private readonly flush = (): void => {
    this.isFlushing = false;
    const jobs = this.unsent;
    if (jobs.length === 0 || this.state === 'ended') return;
    this.unsent = [];
    const now = this.parts.clock.monotonicMs();
    for (const job of jobs) job.writtenAt = now;
    this.launched.socket.write(encodeCalls(jobs));
  };

  private answered(job: Job, now: number): number {
    const durationMs = roundedMs(now - this.calls.startOf(job));
    this.calls.lastAnswerAt = now;
    this.isRecalled = false;
    this.callsDone += 1;
    this.servedCalls += 1;
    this.servedMs += durationMs;
    this.output.end(job, durationMs);
    return durationMs;
  }

  /** Ended for its deadline while the answer was on its way: late by the clock that counts. */
  private isTooLate(job: Job): boolean {
    return this.doom?.kind === 'deadline' && this.doom.job === job;
  }

  private settleResult(job: Job, text: string, durationMs: number): void {
    const valid = this.parts.validateJson(text);
    if (valid === true) this.settle(job, 'succeeded', durationMs, undefined, text);
    else if (valid === false) this.settle(job, 'failed', durationMs, SlotErrors.notJson());
    else {
      const fault = SlotErrors.lost('The result could not be checked.');
      valid.then(
        (isJson) =>
          isJson
            ? this.settle(job, 'succeeded', durationMs, undefined, text)
            : this.settle(job, 'failed', durationMs, SlotErrors.notJson()),
        () => this.settle(job, 'lost', durationMs, fault),
      );
    }
  }

  private settle(job: Job, kind: Outcome, durationMs: number, error?: ErrorInfo, result?: string): void {
    const endedAt = this.parts.clock.now();
    const startedAt = Math.floor(endedAt - durationMs);
    const { coldStart } = job;
    this.parts.ran(this.spec, job, kind, durationMs, endedAt);
    if (kind === 'succeeded') job.settle({ kind, result: result!, startedAt, durationMs, coldStart });
    else job.settle({ kind, error: error!, startedAt, durationMs, coldStart } satisfies SlotEnd);
  }

  private streamedCall(id: number): Job | undefined {
    const job = this.calls.find(id);
    if (job?.call.onChunk) return job;
    if (job || !this.calls.isAbandoned(id)) throw new FrameError('It streamed an answer that nobody asked for.');
    return undefined;
  }

  /** Whoever reads the answer is slow: the handler is held back with them. */
  private holdBack(taken: unknown): void {
    if (!(taken instanceof Promise)) return;
    this.launched.socket.pause();
    const goOn = () => this.launched.socket.resume();
    taken.then(goOn, goOn);
  }

  private freeze(): void {
    this.isFrozen = true;
    this.launched.freeze();
  }

  private thaw(): void {
    this.isFrozen = false;
    this.launched.thaw();
  }

  private watchMemory(now: number): void {
    if (this.launched.capsMemory || now - this.memoryCheckedAt < MEMORY_CHECK_MS) return;
    this.memoryCheckedAt = now;
    const limitMb = this.spec.memoryMb + RUNTIME_OVERHEAD_MB[this.kind];
    if (this.launched.rssBytes() > limitMb * 1024 * 1024) this.kill({ kind: 'memory' });
  }

  private watchDeadlines(now: number): void {
    const elapsedMs = this.calls.headElapsedMs(now);
    // The answer may be here already, unread: whatever can be read is read before the verdict.
    if (elapsedMs > this.timeoutMs) setImmediate(this.endOverdue);
    else if (this.perSlot === 1 && elapsedMs > STUCK_MS && this.calls.jobs.length > 1 && !this.isRecalled) {
      this.isRecalled = true;
      this.launched.socket.write(encodeFrame(Frame.RECALL, ''));
    }
  }

  private readonly endOverdue = (): void => {
    if (this.state !== 'ready' || this.doom) return;
    const now = this.parts.clock.monotonicMs();
    for (const job of this.calls.overdue(now, this.timeoutMs)) {
      if (this.perSlot === 1) {
        this.kill({ kind: 'deadline', job });
        return;
      }
      // Others run beside it: they may end, then the process does, and with it what was left of this call.
      this.calls.abandon(job);
      this.isDoomed = true;
      const durationMs = roundedMs(now - job.writtenAt);
      this.output.end(job, durationMs);
      this.settle(job, 'timedOut', durationMs, SlotErrors.timedOut(this.spec.timeoutSec));
    }
    if (this.isDoomed && this.isEmpty) this.kill({ kind: 'retired' });
  };

  private kill(doom: Doom): void {
    if (this.state === 'ended') return;
    this.isDoomed = true;
    this.doom ??= doom;
    if (this.killedAt === 0) this.killedAt = this.parts.clock.monotonicMs();
    this.launched.kill();
  }

  private finish(): void {
    if (this.state === 'ended') return;
    const wasStarting = this.state === 'starting';
    this.state = 'ended';
    this.isDoomed = true;
    this.launched.socket.destroy();
    const { started, unstarted } = this.calls.split();
    for (const job of started) if (this.wasUnread(job, started.length + unstarted.length)) unstarted.unshift(...started.splice(0));
    for (const job of started) this.settleDead(job);
    this.output.close();
    for (const job of unstarted) job.returns += 1;
    const isUnwanted = this.doom?.kind === 'retired' || this.doom?.kind === 'shutdown';
    this.owner.ended(this, wasStarting && !isUnwanted ? this.deathError().error : undefined);
    if (unstarted.length > 0) this.owner.returned(unstarted);
  }

  /** The only call in it was never read: it met a process that had just ended of itself. */
  private wasUnread(job: Job, inSlot: number): boolean {
    return this.isUnread && inSlot === 1 && !this.doom && job.returns < RETURNS_MAX;
  }

  private settleDead(job: Job): void {
    const endedAt = this.killedAt || this.exitSeenAt || this.parts.clock.monotonicMs();
    const durationMs = roundedMs(endedAt - this.calls.startOf(job));
    this.output.end(job, durationMs);
    if (this.doom?.kind === 'deadline' && this.doom.job === job) {
      this.settle(job, 'timedOut', durationMs, SlotErrors.timedOut(this.spec.timeoutSec));
      return;
    }
    const { outcome, error } = this.deathError();
    this.settle(job, outcome, durationMs, error);
  }

  private deathError(): { outcome: 'failed' | 'lost'; error: ErrorInfo } {
    return verdictOnDeath(this.spec, this.doom, this.exit, this.output.saysOutOfMemory);
  }
}
