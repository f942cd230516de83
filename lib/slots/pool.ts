import { DEFAULTS } from '../core/defaults.js';
import type { ErrorInfo } from '../core/invocations/model.js';
import { isShort, type PoolView, STUCK_MS, slotDepth, slotValue, typicalAfter, wantsAnotherSlot } from '../core/scheduling/placement.js';
import type { SlotCounts, SlotSpec } from '../core/scheduling/port.js';
import type { SlotEvent } from './events.js';
import type { Assignment } from './frames.js';
import { type Job, SlotErrors } from './job.js';
import type { LaunchedSlot, SlotFolders, SlotKind } from './launcher.js';
import type { SlotParts } from './parts.js';
import { Slot, type SlotOwner } from './slot.js';

/** What a pool needs of the invoker. */
export interface PoolHost {
  readonly parts: SlotParts;
  /** Processors of the machine. */
  readonly cores: number;
  /** Room in memory and among the starting processes; takes it. */
  reserve(pool: Pool): boolean;
  release(pool: Pool): void;
  take(spec: SlotSpec): Promise<{ launched: LaunchedSlot; kind: SlotKind; isPrepared: boolean }>;
  folders(spec: SlotSpec): Promise<Pick<SlotFolders, 'code' | 'layers' | 'cache'>>;
  tell(event: SlotEvent): void;
}

const AVERAGE_WEIGHT = 0.2;
/** After a start that failed, others that nobody waits for are tried again this much later, doubled each time. */
const WARM_RETRY_MS = 1000;
const WARM_RETRY_MAX_MS = 60_000;
const START_RETRY_MS = 200;

/** The slots of one spec, and the calls that wait for one of them. */
export class Pool implements SlotOwner {
  readonly slots = new Set<Slot>();
  private readonly idle: Slot[] = [];
  private readonly waiting: Job[] = [];
  /** Processes on their way that are no slot yet. */
  private launching = 0;
  private serviceMs: number | undefined;
  private typicalMs: number | undefined;
  /** Of late, and never less than the platform's own figure: on a busy machine a quick start of late promises nothing. */
  private coldStartMs: number;
  private readonly leastColdStartMs: number;
  /** Calls of late, halved every minute. */
  heat = 0;
  minSlots: number;
  /** Superseded or removed: no slot stays without work. */
  isRetiring = false;
  private failedStarts = 0;
  private retryAt = 0;
  private readonly perSlot: number;

  constructor(
    readonly spec: SlotSpec,
    private readonly host: PoolHost,
  ) {
    this.minSlots = spec.minSlots;
    this.perSlot = Math.max(1, spec.concurrency.perSlot);
    this.leastColdStartMs = spec.runtime.startsWith('python') ? DEFAULTS.coldStartMs.python : DEFAULTS.coldStartMs.node;
    this.coldStartMs = this.leastColdStartMs;
  }

  get isGone(): boolean {
    return this.slots.size === 0 && this.launching === 0 && this.waiting.length === 0;
  }

  /** Something in it needs to be looked at often. */
  get isLively(): boolean {
    if (this.launching > 0 || this.waiting.length > 0) return true;
    for (const slot of this.slots) if (!slot.isFrozen || !slot.isEmpty) return true;
    return false;
  }

  /** Processes that were told to end and have not yet. */
  get endingSlots(): number {
    let ending = 0;
    for (const slot of this.slots) if (slot.isDoomed && slot.isEmpty) ending += 1;
    return ending;
  }

  get waitingCalls(): number {
    return this.waiting.length;
  }

  counts(): SlotCounts {
    const counts = { starting: this.launching, idle: 0, busy: 0 };
    for (const slot of this.slots) {
      if (slot.state === 'starting') counts.starting += 1;
      else if (slot.isEmpty) counts.idle += 1;
      else counts.busy += 1;
    }
    return counts;
  }

  submit(job: Job): void {
    this.heat += 1;
    const slot = this.slotFor();
    if (slot) {
      this.dispatch(slot, job);
      return;
    }
    this.waiting.push(job);
    // A burst of short calls clears sooner than any start, and a busy machine would make every stall look like a need:
    // for them the tick starts a slot when one has really waited that long.
    if (!isShort(this.typicalMs) || this.slots.size === 0) this.grow();
  }

  /** Starts slots for the calls that wait, as far as that is worth it and there is room. */
  grow(): void {
    const now = this.host.parts.clock.monotonicMs();
    while (this.waiting.length > 0 && now >= this.retryAt && wantsAnotherSlot(this.view(now)) && this.host.reserve(this)) {
      void this.start(true, now);
    }
  }

  keepWarm(): void {
    const now = this.host.parts.clock.monotonicMs();
    while (!this.isRetiring && this.slots.size + this.launching < this.minSlots && now >= this.retryAt && this.host.reserve(this)) {
      void this.start(false, now);
    }
  }

  retire(): void {
    this.isRetiring = true;
    this.minSlots = 0;
    if (this.waiting.length > 0) return;
    for (const slot of [...this.slots]) slot.retire();
    this.idle.length = 0;
  }

  shutDown(): void {
    this.isRetiring = true;
    this.refuseAll();
    for (const slot of [...this.slots]) slot.shutDown();
  }

  refuseAll(): void {
    for (const job of this.waiting.splice(0)) job.settle({ kind: 'busy' });
  }

  tick(now: number): void {
    for (const slot of this.slots) slot.tick(now);
    if (this.waiting.length > 0) {
      this.refuseLate(now);
      const [oldest] = this.waiting;
      if (oldest && (!isShort(this.typicalMs) || this.slots.size === 0 || now - oldest.submittedAt > this.coldStartMs)) this.grow();
    }
    this.keepWarm();
  }

  /** Idle slots that may go, with what is lost by it. */
  evictable(now: number): { slot: Slot; value: number; idleMs: number }[] {
    if (this.slots.size <= this.minSlots) return [];
    const { heat, coldStartMs } = this;
    const { memoryMb } = this.spec;
    return this.idle.slice(0, this.slots.size - this.minSlots).map((slot) => ({
      slot,
      idleMs: now - slot.idleSince,
      value: slotValue({ heat, coldStartMs, memoryMb, idleMs: now - slot.idleSince }),
    }));
  }

  evict(slot: Slot): void {
    const place = this.idle.indexOf(slot);
    if (place >= 0) this.idle.splice(place, 1);
    slot.retire();
  }

  /* ---- what slots tell */

  ready(slot: Slot): void {
    this.failedStarts = 0;
    this.retryAt = 0;
    this.coldStartMs = Math.max(this.leastColdStartMs, this.coldStartMs + AVERAGE_WEIGHT * (slot.startMs - this.coldStartMs));
  }

  freed(slot: Slot): void {
    const depth = slotDepth(this.perSlot, this.typicalMs);
    while (this.waiting.length > 0 && slot.calls.jobs.length < depth) this.dispatch(slot, this.waiting.shift()!);
    if (!slot.isEmpty) return;
    if (this.isRetiring) slot.retire();
    else if (!this.idle.includes(slot)) this.idle.push(slot);
  }

  served(calls: number, totalMs: number): void {
    const meanMs = totalMs / calls;
    // Several answers read at once weigh as much as if they had come one by one.
    const weight = 1 - (1 - AVERAGE_WEIGHT) ** calls;
    this.typicalMs = typicalAfter(this.typicalMs, meanMs);
    this.serviceMs = this.serviceMs === undefined ? meanMs : this.serviceMs + weight * (meanMs - this.serviceMs);
  }

  returned(jobs: Job[]): void {
    this.waiting.unshift(...jobs);
    while (this.waiting.length > 0) {
      const slot = this.takeIdle();
      if (!slot) break;
      this.dispatch(slot, this.waiting.shift()!);
    }
    if (!isShort(this.typicalMs) || this.slots.size === 0) this.grow();
  }

  ended(slot: Slot, initError: ErrorInfo | undefined): void {
    this.slots.delete(slot);
    const place = this.idle.indexOf(slot);
    if (place >= 0) this.idle.splice(place, 1);
    this.host.release(this);
    const { tenantId, functionId, version } = this.spec;
    if (initError) {
      this.host.tell({ kind: 'initFailed', tenantId, functionId, version, errorType: initError.type });
      this.initFailed(slot, initError);
    } else this.host.tell({ kind: 'ended', tenantId, functionId, version });
    if (this.waiting.length > 0) this.grow();
  }

  /* ---- inside */

  /** The one used last, so that the others grow old. One that broke while it was idle is left out: its end is on the way. */
  private takeIdle(): Slot | undefined {
    for (;;) {
      const slot = this.idle.pop();
      if (!slot?.isDoomed) return slot;
    }
  }

  /** Idle slots first; but where short calls keep every processor busy, behind one of those rather than on one more. */
  private slotFor(): Slot | undefined {
    const isPacked = isShort(this.typicalMs) && this.slots.size - this.idle.length >= this.host.cores;
    if (isPacked) return this.waiting.length > 0 ? undefined : (this.roomiest() ?? this.takeIdle());
    return this.takeIdle() ?? (this.waiting.length === 0 ? this.roomiest() : undefined);
  }

  private dispatch(slot: Slot, job: Job): void {
    // Its code was loaded for this call: the first in a slot that was started because calls waited.
    job.coldStart = slot.isForCall && slot.calls.newestId === 0 && job.submittedAt <= slot.readyAt;
    slot.send(job);
  }

  /** The slot with the fewest calls that may take one more. */
  private roomiest(): Slot | undefined {
    const depth = slotDepth(this.perSlot, this.typicalMs);
    if (depth === 1) return undefined;
    const now = this.host.parts.clock.monotonicMs();
    let best: Slot | undefined;
    let fewest = depth;
    for (const slot of this.slots) {
      const { length } = slot.calls.jobs;
      if (length >= fewest || slot.state !== 'ready' || slot.isDoomed) continue;
      if (this.perSlot === 1 && slot.calls.headElapsedMs(now) > STUCK_MS) continue;
      best = slot;
      fewest = length;
    }
    return best;
  }

  private view(now: number): PoolView {
    const busy: PoolView['busy'][number][] = [];
    let starting = this.launching;
    for (const slot of this.slots) {
      if (slot.state === 'starting' && !slot.isDoomed) starting += 1;
      else if (slot.state === 'ready' && !slot.isDoomed) {
        busy.push({ elapsedMs: slot.calls.headElapsedMs(now), queued: Math.max(0, slot.calls.jobs.length - this.perSlot) });
      }
    }
    const { serviceMs, typicalMs, coldStartMs } = this;
    const slots = this.slots.size + this.launching;
    const maxSlots = this.spec.maxSlots ?? Number.POSITIVE_INFINITY;
    return { busy, starting, waiting: this.waiting.length, serviceMs, typicalMs, coldStartMs, slots, maxSlots, cores: this.host.cores };
  }

  private refuseLate(now: number): void {
    let starting = this.launching;
    for (const slot of this.slots) if (slot.state === 'starting') starting += 1;
    // The first ones have a slot on its way: loading has a limit of its own.
    for (let n = this.waiting.length - 1; n >= starting; n -= 1) {
      const job = this.waiting[n]!;
      if (now - job.submittedAt <= job.call.slotWaitMs) continue;
      this.waiting.splice(n, 1);
      job.settle({ kind: 'busy' });
    }
  }

  private async start(isForCall: boolean, wishedAt: number): Promise<void> {
    const { spec, host } = this;
    this.launching += 1;
    const taking = host.take(spec);
    try {
      const [taken, folders] = await Promise.all([taking, host.folders(spec)]);
      const seen = await taken.launched.assign({ ...folders, tenantId: spec.tenantId, memoryMb: spec.memoryMb });
      this.launching -= 1;
      const slot = new Slot(spec, taken.launched, taken.kind, this.observed(taken.isPrepared), host.parts, wishedAt, isForCall);
      this.slots.add(slot);
      slot.assign(assignmentOf(spec, seen));
      // Nobody needs it any more: the pool was retired while the process started.
      if (this.isRetiring && this.waiting.length === 0) slot.retire();
    } catch (error) {
      this.launching -= 1;
      // The process may come only now, with nobody left to own it.
      taking.then(
        ({ launched }) => launched.kill(),
        () => undefined,
      );
      this.startFailed(error);
    }
  }

  /** The pool as the owner of one slot, so that the start is told with how it came about. */
  private observed(isPrepared: boolean): SlotOwner {
    return {
      ready: (slot) => {
        const { tenantId, functionId, version } = this.spec;
        this.ready(slot);
        this.host.tell({ kind: 'started', tenantId, functionId, version, isPrepared, isForCall: slot.isForCall, startMs: slot.startMs });
      },
      freed: (slot) => this.freed(slot),
      served: (calls, totalMs) => this.served(calls, totalMs),
      returned: (jobs) => this.returned(jobs),
      ended: (slot, initError) => this.ended(slot, initError),
    };
  }

  private startFailed(error: unknown): void {
    this.host.release(this);
    this.host.tell({ kind: 'startFault', error });
    this.retryLater(START_RETRY_MS);
    if (this.slots.size > 0 || this.launching > 0) return;
    for (const job of this.waiting.splice(0)) job.settle({ kind: 'notStarted', error: SlotErrors.notStarted(error) });
  }

  /** One call for each slot that could not load, so that every caller's code was tried; all of them where loading hangs. */
  private initFailed(slot: Slot, error: ErrorInfo): void {
    if (!slot.isForCall) this.retryLater(WARM_RETRY_MS);
    const isSlow = error.type === 'Runtime.InitTimeout';
    const startedAt = this.host.parts.clock.now();
    for (const job of this.waiting.splice(0, isSlow ? this.waiting.length : 1)) {
      job.settle({ kind: 'initFailed', error, startedAt, durationMs: 0, coldStart: true });
    }
  }

  private retryLater(baseMs: number): void {
    const delayMs = Math.min(WARM_RETRY_MAX_MS, baseMs * 2 ** Math.min(this.failedStarts, 10));
    this.failedStarts += 1;
    this.retryAt = this.host.parts.clock.monotonicMs() + delayMs;
  }
}

function assignmentOf(spec: SlotSpec, seen: Pick<Assignment, 'code' | 'layers' | 'cache' | 'tmp'>): Assignment {
  const { functionId, functionName, version, handler, memoryMb, timeoutSec, namespace, env } = spec;
  return {
    ...seen,
    functionId,
    functionName,
    version,
    handler,
    memoryMb,
    timeoutSec,
    tenant: spec.tenantId,
    namespace,
    env,
    perSlot: Math.max(1, spec.concurrency.perSlot),
    resultBytes: DEFAULTS.resultBytes,
    logBytes: DEFAULTS.logBytesPerInvocation,
  };
}
