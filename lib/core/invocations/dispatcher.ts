import { DEFAULTS } from '../defaults.js';
import type { FunctionRecord } from '../functions/model.js';
import type { FunctionId, RequestId, TenantId } from '../ids.js';
import { Backlog } from '../scheduling/backlog.js';
import { FairRing } from '../scheduling/fair-ring.js';
import { PREFETCH, type ReadyQueue } from '../scheduling/ready-queue.js';
import { AsyncRun } from './async-run.js';
import { type Head, TERMINAL } from './model.js';
import type { PathParts } from './parts.js';
import type { ReadyEntry } from './port.js';

/** Async attempts in the air at once in this process; handlers that wait need many, busy ones queue for slots anyway. */
const MAX_RUNNING = 256;
/** Claims started in one turn of the event loop: so that a flood of one tenant never holds up the loop for others. */
const CLAIMS_PER_TURN = 8;
const SWEEP_MS = 10_000;
const REFILL_RETRY_MS = 500;
/** A call of a function that has not run yet is taken to cost this much. */
const UNKNOWN_COST_MS = 5;

/**
 * Hands ready async requests to slots: whose turn it is says the fair ring, whether they may run says admission.
 * A queue is in the ring exactly while its soonest entry is due and neither its function nor its tenant is at a limit.
 */
export class Dispatcher {
  private readonly backlogs = new Backlog();
  private readonly ring = new FairRing<ReadyQueue>();
  private readonly blocked = new Map<TenantId, Set<ReadyQueue>>();
  private readonly refilling = new Set<ReadyQueue>();
  private readonly timers = new Map<ReadyQueue, () => void>();
  private readonly costMs = new Map<FunctionId, number>();
  private readonly run: AsyncRun;
  private stopped = true;
  private pumpIsDue = false;
  private cancelSweep = () => {};

  constructor(
    private readonly parts: PathParts,
    /** Sync calls in the air. */
    private readonly syncRunning: () => RequestId[],
  ) {
    this.run = new AsyncRun(parts, {
      offer: (head) => this.offer(head),
      ended: (functionId, durationMs) => this.learn(functionId, durationMs),
      settled: () => this.pumpSoon(),
    });
  }

  /** Takes over what dead owners left, then everything that is ready. */
  async start(): Promise<void> {
    this.stopped = false;
    await this.takeOver('all-but');
    for (const queue of this.backlogs.load(await this.parts.store.readyCounts())) this.evaluate(queue);
    this.sweepLater();
  }

  /** No new claims; resolves when the running attempts have ended. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelSweep();
    for (const cancel of this.timers.values()) cancel();
    this.timers.clear();
    await this.run.idle();
  }

  /** A request has become ready, now or at its readyAt. */
  offer(head: Head): void {
    if (TERMINAL.has(head.state) || head.lease) return;
    this.evaluate(this.backlogs.offer(entryOf(head)));
  }

  /** A function was changed, enabled or disabled: its queues are looked at again. */
  changed(functionId: FunctionId): void {
    for (const queue of this.backlogs.ofFunction(functionId)) this.evaluate(queue);
  }

  /** Capacity of this tenant is free again. */
  freed(tenantId: TenantId): void {
    if (this.blocked.has(tenantId)) this.pumpSoon();
  }

  backlog(tenantId: TenantId): { count: number; bytes: number } {
    return this.backlogs.waiting(tenantId);
  }

  /** Age of the oldest due request that waits, ms. */
  lagMs(functionId?: FunctionId, tenantId?: TenantId): number {
    const now = this.parts.clock.now();
    let oldest = now;
    for (const queue of functionId ? this.backlogs.ofFunction(functionId) : this.backlogs.all()) {
      if (tenantId !== undefined && queue.tenantId !== tenantId) continue;
      oldest = Math.min(oldest, queue.peek()?.readyAt ?? now);
    }
    return now - oldest;
  }

  depth(functionId?: FunctionId): number {
    let count = 0;
    for (const queue of functionId ? this.backlogs.ofFunction(functionId) : this.backlogs.all()) count += queue.count;
    return count;
  }

  /** Puts the queue where it belongs: into the ring, on a timer, on a refill, or away. */
  private evaluate(queue: ReadyQueue): void {
    if (this.stopped) return;
    if (queue.wantsMore) this.refill(queue);
    const head = queue.peek();
    if (!head) {
      this.ring.remove(queue);
      if (queue.isEmpty) this.forget(queue);
      return;
    }
    const waitMs = head.readyAt - this.parts.clock.now();
    if (waitMs > 0) {
      this.ring.remove(queue);
      this.wake(queue, waitMs);
      return;
    }
    this.ring.add(queue);
    this.pumpSoon();
  }

  private forget(queue: ReadyQueue): void {
    this.cancelWake(queue);
    this.backlogs.forget(queue);
    this.blocked.get(queue.tenantId)?.delete(queue);
  }

  private wake(queue: ReadyQueue, delayMs: number): void {
    this.cancelWake(queue);
    this.timers.set(
      queue,
      this.parts.clock.after(Math.min(delayMs, 60_000), () => {
        this.timers.delete(queue);
        this.evaluate(queue);
      }),
    );
  }

  private cancelWake(queue: ReadyQueue): void {
    this.timers.get(queue)?.();
    this.timers.delete(queue);
  }

  private refill(queue: ReadyQueue): void {
    if (this.refilling.has(queue)) return;
    this.refilling.add(queue);
    queue.beginRefill();
    const { tenantId, functionId, priority } = queue;
    this.parts.store.ready({ tenantId, functionId, priority, until: Number.MAX_SAFE_INTEGER, limit: PREFETCH }).then(
      (entries) => {
        this.refilling.delete(queue);
        queue.refill(entries, PREFETCH, (id) => this.run.holds(id));
        // Nothing but entries that are being claimed: look again once they are.
        if (queue.wantsMore && queue.heldCount === 0) this.wake(queue, REFILL_RETRY_MS / 10);
        else this.evaluate(queue);
      },
      () => {
        this.refilling.delete(queue);
        this.wake(queue, REFILL_RETRY_MS);
      },
    );
  }

  private pumpSoon(): void {
    if (this.pumpIsDue || this.stopped) return;
    this.pumpIsDue = true;
    this.parts.clock.after(0, () => {
      this.pumpIsDue = false;
      this.pump();
    });
  }

  private pump(): void {
    if (this.stopped) return;
    this.unblock();
    for (let claims = 0; this.run.count < MAX_RUNNING; ) {
      if (claims >= CLAIMS_PER_TURN) {
        this.pumpSoon();
        return;
      }
      const queue = this.ring.next((q) => this.costMs.get(q.functionId) ?? UNKNOWN_COST_MS);
      if (!queue) return;
      if (this.dispatch(queue)) claims += 1;
    }
  }

  /** Starts the queue's soonest entry if it may run now. */
  private dispatch(queue: ReadyQueue): boolean {
    const entry = queue.peek();
    if (!entry || entry.readyAt > this.parts.clock.now()) {
      this.evaluate(queue);
      return false;
    }
    const fn = this.parts.deployments.find(queue.tenantId, queue.functionId);
    if (fn instanceof Promise) {
      this.ring.remove(queue);
      fn.then(
        () => this.evaluate(queue),
        () => this.wake(queue, REFILL_RETRY_MS),
      );
      return false;
    }
    if (fn?.state === 'DISABLED' || (entry.alone && this.run.count > 0)) {
      this.ring.remove(queue);
      if (entry.alone) this.block(queue);
      return false;
    }
    return this.admit(queue, fn);
  }

  private admit(queue: ReadyQueue, fn: FunctionRecord | undefined): boolean {
    if (fn && this.parts.admission.enter(fn.tenantId, fn.functionId, fn.concurrency) !== 'ok') {
      this.ring.remove(queue);
      this.block(queue);
      return false;
    }
    const entry = queue.take() as ReadyEntry;
    this.evaluate(queue);
    this.run.start(entry, fn);
    return true;
  }

  private block(queue: ReadyQueue): void {
    const set = this.blocked.get(queue.tenantId) ?? new Set();
    set.add(queue);
    this.blocked.set(queue.tenantId, set);
  }

  /** Everyone who was at a limit tries again: at most once a turn of the loop, and only after somebody left. */
  private unblock(): void {
    const waiting = [...this.blocked.values()];
    this.blocked.clear();
    for (const set of waiting) for (const queue of set) if (queue.peek()) this.ring.add(queue);
  }

  private learn(functionId: FunctionId, durationMs: number): void {
    const before = this.costMs.get(functionId);
    this.costMs.set(functionId, before === undefined ? durationMs : before * 0.8 + durationMs * 0.2);
  }

  private sweepLater(): void {
    this.cancelSweep = this.parts.clock.after(SWEEP_MS, () => {
      this.takeOver([])
        // The store is away: what is void now is void at the next sweep, too.
        .catch(() => undefined)
        .finally(() => {
          if (!this.stopped) this.sweepLater();
        });
    });
  }

  /**
   * Frees requests whose owner is gone or whose lease is void. At the start the data folder's lock proves all others dead.
   * What runs here ends by the monotonic clock: a wall clock that leaps makes nothing of it void.
   */
  private async takeOver(gone: string[] | 'all-but'): Promise<void> {
    const { store, clock, owner } = this.parts;
    for (;;) {
      const running = [...this.run.running(), ...this.syncRunning()];
      const heads = await store.takeOver({ gone, owner, running, now: clock.now(), nonce: this.parts.nonce(), limit: PREFETCH });
      for (const head of heads) {
        this.parts.endings.announce(head);
        // At the start, what is ready is read as a whole afterwards.
        if (gone !== 'all-but') this.offer(head);
      }
      if (heads.length < PREFETCH) return;
    }
  }
}

const entryOf = (head: Head): ReadyEntry => ({
  requestId: head.requestId,
  tenantId: head.tenantId,
  functionId: head.functionId,
  priority: head.priority,
  qualifier: head.qualifier,
  readyAt: head.readyAt,
  payloadBytes: head.payloadBytes,
  alone: head.chain.deaths >= DEFAULTS.deathsUntilAlone,
});
