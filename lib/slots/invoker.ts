import { availableParallelism, totalmem } from 'node:os';
import { DEFAULTS } from '../core/defaults.js';
import type { FunctionId, TenantId } from '../core/ids.js';
import { billedMsOf } from '../core/metering/model.js';
import type { Invoker, SlotCall, SlotCounts, SlotEnd, SlotSpec } from '../core/scheduling/port.js';
import type { SlotEvent } from './events.js';
import { Job } from './job.js';
import type { SlotFolders } from './launcher.js';
import type { AttemptMeter } from './meter.js';
import type { Outcome, SlotParts } from './parts.js';
import { Pool, type PoolHost } from './pool.js';
import { Prepared, type PreparedOptions } from './prepared.js';

export interface SlotInvokerOptions extends PreparedOptions {
  logs: SlotParts['logs'];
  /** Where the code and layers of a spec lie on this machine. */
  folders(spec: SlotSpec): Promise<Pick<SlotFolders, 'code' | 'layers' | 'cache'>>;
  meter?: AttemptMeter;
  validateJson?: SlotParts['validateJson'];
  onEvent?(event: SlotEvent): void;
  /** Default: 70 % of the machine. */
  memoryBudgetMb?: number;
}

const TICK_MS = 20;
const SLOW_TICK_MS = 5000;
const MINUTE_MS = 60_000;
const SUPERSEDED_KEPT = 10_000;
const BUSY: Promise<SlotEnd> = Promise.resolve({ kind: 'busy' });

/** Owns the slots of one machine: a pool for each spec, one memory budget over all of them. */
export class SlotInvoker implements Invoker, PoolHost {
  readonly parts: SlotParts;
  private readonly pools = new Map<string, Pool>();
  /** functionId and version -> the key that runs now. */
  private readonly current = new Map<string, string>();
  /** Keys that a newer one took the place of: a late call with one of them runs, but keeps nothing. */
  private readonly superseded = new Set<string>();
  private readonly prepared: Prepared;
  private readonly budgetMb: number;
  readonly cores = availableParallelism();
  private readonly maxStarting = Math.max(2, this.cores * 2);
  private readonly tally = { open: 0 };
  private usedMb = 0;
  private isTicking = false;
  private isDraining = false;
  private isClosed = false;
  private cooledAt: number;

  constructor(private readonly options: SlotInvokerOptions) {
    const { clock, logs, validateJson = isJson } = options;
    this.parts = {
      clock,
      logs,
      validateJson,
      onFault: (error) => options.onFault?.(error),
      ran: (...attempt) => this.ran(...attempt),
    };
    this.prepared = new Prepared(options);
    this.budgetMb = options.memoryBudgetMb ?? Math.floor((totalmem() / 1024 / 1024) * DEFAULTS.slotMemoryShare);
    this.cooledAt = clock.monotonicMs();
    this.slowTick();
  }

  run(spec: SlotSpec, call: SlotCall): Promise<SlotEnd> {
    if (this.isDraining) return BUSY;
    const pool = this.pools.get(spec.key) ?? this.open(spec);
    if (!this.isTicking) this.startTicking();
    return new Promise((resolve) => pool.submit(new Job(call, this.options.clock.monotonicMs(), resolve, this.tally)));
  }

  keepWarm(spec: SlotSpec): void {
    if (this.isDraining || (spec.minSlots === 0 && !this.pools.has(spec.key))) return;
    const pool = this.pools.get(spec.key) ?? this.open(spec);
    pool.minSlots = pool.isRetiring ? 0 : spec.minSlots;
    pool.keepWarm();
    this.startTicking();
  }

  retire(functionId: FunctionId, except?: string): void {
    for (const [key, pool] of this.pools) {
      if (pool.spec.functionId === functionId && key !== except) this.close(key, pool);
    }
  }

  counts(functionId?: FunctionId, tenantId?: TenantId): SlotCounts {
    const sum = { starting: 0, idle: 0, busy: 0 };
    for (const pool of this.pools.values()) {
      if (functionId !== undefined && pool.spec.functionId !== functionId) continue;
      if (tenantId !== undefined && pool.spec.tenantId !== tenantId) continue;
      const { starting, idle, busy } = pool.counts();
      sum.starting += starting;
      sum.idle += idle;
      sum.busy += busy;
    }
    return sum;
  }

  /** Functions that have slots or waiting calls, for metrics by function. */
  activeFunctions(): FunctionId[] {
    return [...new Set([...this.pools.values()].map((pool) => pool.spec.functionId))];
  }

  async drain(withinMs: number): Promise<void> {
    this.isDraining = true;
    const { clock } = this.options;
    const deadline = clock.monotonicMs() + withinMs;
    while (this.tally.open > 0 && clock.monotonicMs() < deadline) await this.pause(TICK_MS / 2);
    this.isClosed = true;
    for (const pool of this.pools.values()) pool.shutDown();
    while ([...this.pools.values()].some((pool) => !pool.isGone)) {
      this.tickPools();
      await this.pause(TICK_MS / 4);
    }
    this.pools.clear();
    await this.prepared.close();
    this.options.meter?.flush();
  }

  /* ---- for pools */

  reserve(pool: Pool): boolean {
    const { memoryMb } = pool.spec;
    if (this.isClosed || this.starting() >= this.maxStarting) return false;
    if (this.usedMb + memoryMb > this.budgetMb) {
      // Given back when the process has ended: the next tick finds the room.
      this.makeRoom(this.usedMb + memoryMb - this.budgetMb);
      return false;
    }
    this.usedMb += memoryMb;
    this.startTicking();
    return true;
  }

  release(pool: Pool): void {
    this.usedMb -= pool.spec.memoryMb;
    for (const other of this.pools.values()) if (other !== pool && other.waitingCalls > 0) other.grow();
  }

  take(spec: SlotSpec): ReturnType<PoolHost['take']> {
    return this.prepared.take(spec.runtime, spec.memoryMb, spec.network, spec.tenantId);
  }

  folders(spec: SlotSpec): ReturnType<PoolHost['folders']> {
    return this.options.folders(spec);
  }

  tell(event: SlotEvent): void {
    this.options.onEvent?.(event);
  }

  /* ---- inside */

  private open(spec: SlotSpec): Pool {
    const pool = new Pool(spec, this);
    this.pools.set(spec.key, pool);
    if (this.superseded.has(spec.key)) {
      pool.isRetiring = true;
      pool.minSlots = 0;
      return pool;
    }
    const version = `${spec.functionId} ${spec.version}`;
    const before = this.current.get(version);
    this.current.set(version, spec.key);
    if (before !== undefined && before !== spec.key) {
      this.supersede(before);
      const old = this.pools.get(before);
      if (old) this.close(before, old);
    }
    return pool;
  }

  private supersede(key: string): void {
    this.superseded.add(key);
    if (this.superseded.size <= SUPERSEDED_KEPT) return;
    const [oldest] = this.superseded;
    this.superseded.delete(oldest!);
  }

  private close(key: string, pool: Pool): void {
    pool.retire();
    if (pool.isGone) this.pools.delete(key);
    else this.startTicking();
  }

  private starting(): number {
    let starting = 0;
    for (const pool of this.pools.values()) starting += pool.counts().starting;
    return starting;
  }

  /** Ends the least valuable idle slots until `neededMb` will be free. */
  private makeRoom(neededMb: number): void {
    const now = this.options.clock.monotonicMs();
    const idle = [...this.pools.values()].flatMap((pool) => pool.evictable(now).map((one) => ({ pool, ...one })));
    idle.sort((a, b) => a.value - b.value);
    // What is ending already gives its memory back in a moment.
    let freedMb = 0;
    for (const pool of this.pools.values()) freedMb += pool.endingSlots * pool.spec.memoryMb;
    for (const { pool, slot } of idle) {
      if (freedMb >= neededMb) return;
      freedMb += pool.spec.memoryMb;
      pool.evict(slot);
    }
  }

  private ran(spec: SlotSpec, job: Job, outcome: Outcome, durationMs: number, endedAt: number): void {
    const { tenantId, functionId, version, memoryMb } = spec;
    const billedMs = outcome === 'lost' ? 0 : billedMsOf(durationMs);
    this.options.meter?.add({ requestId: job.requestId, attempt: job.attempt, tenantId, functionId, version, memoryMb, billedMs, endedAt });
  }

  private startTicking(): void {
    if (this.isTicking || this.isClosed) return;
    this.isTicking = true;
    this.options.clock.after(TICK_MS, this.tick);
  }

  private readonly tick = (): void => {
    this.isTicking = false;
    if (this.isClosed) return;
    if (this.tickPools()) this.startTicking();
  };

  /** True while anything needs to be looked at soon. */
  private tickPools(): boolean {
    const now = this.options.clock.monotonicMs();
    let isLively = false;
    for (const [key, pool] of this.pools) {
      pool.tick(now);
      if (pool.isLively) isLively = true;
      else if (pool.isRetiring && pool.isGone) this.pools.delete(key);
    }
    return isLively;
  }

  private readonly slowTick = (): void => {
    if (this.isClosed) return;
    const now = this.options.clock.monotonicMs();
    const isMinute = now - this.cooledAt >= MINUTE_MS;
    if (isMinute) this.cooledAt = now;
    for (const [key, pool] of this.pools) {
      if (isMinute) pool.heat /= 2;
      for (const { slot, idleMs } of pool.evictable(now)) if (idleMs >= DEFAULTS.idleSlotMs) pool.evict(slot);
      if (pool.isGone && pool.minSlots === 0 && pool.heat < 0.01) this.forget(key, pool);
    }
    this.prepared.trim(now);
    if (!this.isTicking && this.pools.size > 0) this.startTicking();
    this.options.clock.after(SLOW_TICK_MS, this.slowTick);
  };

  private forget(key: string, pool: Pool): void {
    this.pools.delete(key);
    const version = `${pool.spec.functionId} ${pool.spec.version}`;
    if (this.current.get(version) === key) this.current.delete(version);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.options.clock.after(ms, () => resolve());
    });
  }
}

/** Whether it is JSON, by the parser itself. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
