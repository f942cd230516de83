import type { Clock } from '../clock.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { MeasuredAttempt } from '../invocations/parts.js';
import { BINS, binOf } from './histogram.js';

/** The window that metrics show: ten buckets, the oldest of them begun up to five minutes ago. */
const BUCKETS = 10;
const BUCKET_MS = 30_000;
export const WINDOW_SEC = (BUCKETS * BUCKET_MS) / 1000;

/** Counters of one bucket, before its two histograms. */
const REQUESTS = 0;
const COLD = 1;
const TENANT_FAULTS = 2;
const PLATFORM_FAULTS = 3;
const COUNTERS = 4;
/** Platform overhead; then the whole latency. */
const OVERHEAD = COUNTERS;
const LATENCY = COUNTERS + BINS;
const WIDTH = COUNTERS + 2 * BINS;

/** What was measured in the window, of one function or added up over several. */
export interface Measured {
  requests: number;
  coldStarts: number;
  tenantFaults: number;
  platformFaults: number;
  overhead: Float64Array;
  latency: Float64Array;
}

/** Since the start of the process, for counters that only rise. */
export interface Totals {
  succeeded: number;
  tenantFaults: number;
  platformFaults: number;
  coldStarts: number;
  handlerMs: number;
}

const noTotals = (): Totals => ({ succeeded: 0, tenantFaults: 0, platformFaults: 0, coldStarts: 0, handlerMs: 0 });

/** A ring of time buckets: 8.5 KB a function that was called lately. */
class Ring {
  private readonly cells = new Uint32Array(BUCKETS * WIDTH);
  private readonly turns = new Float64Array(BUCKETS).fill(-1);
  lastTurn = -1;

  constructor(readonly tenantId: TenantId) {}

  record(attempt: MeasuredAttempt, turn: number): void {
    const at = turn % BUCKETS;
    const base = at * WIDTH;
    if (this.turns[at] !== turn) {
      this.cells.fill(0, base, base + WIDTH);
      this.turns[at] = turn;
      this.lastTurn = turn;
    }
    const { cells } = this;
    cells[base + REQUESTS]!++;
    if (attempt.coldStart) cells[base + COLD]!++;
    if (attempt.fault === 'tenant') cells[base + TENANT_FAULTS]!++;
    else if (attempt.fault === 'platform') cells[base + PLATFORM_FAULTS]!++;
    cells[base + OVERHEAD + binOf(attempt.overheadMs)]!++;
    cells[base + LATENCY + binOf(attempt.overheadMs + attempt.durationMs)]!++;
  }

  addTo(sum: Measured, turn: number): void {
    for (let at = 0; at < BUCKETS; at += 1) {
      const age = turn - (this.turns[at] as number);
      if (age < 0 || age >= BUCKETS || this.turns[at] === -1) continue;
      const base = at * WIDTH;
      sum.requests += this.cells[base + REQUESTS] as number;
      sum.coldStarts += this.cells[base + COLD] as number;
      sum.tenantFaults += this.cells[base + TENANT_FAULTS] as number;
      sum.platformFaults += this.cells[base + PLATFORM_FAULTS] as number;
      for (let bin = 0; bin < BINS; bin += 1) {
        sum.overhead[bin]! += this.cells[base + OVERHEAD + bin] as number;
        sum.latency[bin]! += this.cells[base + LATENCY + bin] as number;
      }
    }
  }
}

/** Tenants with counters of their own; the others are counted together, so that no scrape grows without bound. */
export const TENANTS_MAX = 200;
export const OTHER_TENANTS = 'other-tenants';
const MAKE_ROOM_EVERY = 256;

/** Measures every finished attempt: one call, a few increments, nothing allocated for a function that is known. */
export class MetricsRecorder {
  private readonly rings = new Map<FunctionId, Ring>();
  private readonly totals = new Map<string, Totals>();
  /** Of all tenants, since the start: platform overhead. */
  readonly overhead = new Float64Array(BINS);
  overheadSumMs = 0;

  constructor(private readonly clock: Clock) {}

  record(attempt: MeasuredAttempt): void {
    const turn = this.turn();
    let ring = this.rings.get(attempt.functionId);
    if (!ring) {
      if (this.rings.size % MAKE_ROOM_EVERY === MAKE_ROOM_EVERY - 1) this.forgetIdle(turn);
      ring = new Ring(attempt.tenantId);
      this.rings.set(attempt.functionId, ring);
    }
    ring.record(attempt, turn);
    this.overhead[binOf(attempt.overheadMs)]!++;
    this.overheadSumMs += attempt.overheadMs;
    const totals = this.totalsOf(attempt.tenantId);
    if (attempt.fault === 'tenant') totals.tenantFaults += 1;
    else if (attempt.fault === 'platform') totals.platformFaults += 1;
    else totals.succeeded += 1;
    if (attempt.coldStart) totals.coldStarts += 1;
    totals.handlerMs += attempt.durationMs;
  }

  ofFunction(functionId: FunctionId): Measured {
    const sum = nothing();
    this.rings.get(functionId)?.addTo(sum, this.turn());
    return sum;
  }

  ofTenant(tenantId: TenantId): Measured {
    const sum = nothing();
    const turn = this.turn();
    for (const ring of this.rings.values()) if (ring.tenantId === tenantId) ring.addTo(sum, turn);
    return sum;
  }

  ofAll(): Measured {
    const sum = nothing();
    const turn = this.turn();
    for (const ring of this.rings.values()) ring.addTo(sum, turn);
    return sum;
  }

  byTenant(): ReadonlyMap<string, Readonly<Totals>> {
    return this.totals;
  }

  private turn(): number {
    return Math.floor(this.clock.monotonicMs() / BUCKET_MS);
  }

  private totalsOf(tenantId: TenantId): Totals {
    const own = this.totals.get(tenantId);
    if (own) return own;
    const name = this.totals.size < TENANTS_MAX ? tenantId : OTHER_TENANTS;
    const totals = this.totals.get(name) ?? noTotals();
    this.totals.set(name, totals);
    return totals;
  }

  private forgetIdle(turn: number): void {
    for (const [functionId, ring] of this.rings) if (turn - ring.lastTurn >= BUCKETS) this.rings.delete(functionId);
  }
}

const nothing = (): Measured => ({
  requests: 0,
  coldStarts: 0,
  tenantFaults: 0,
  platformFaults: 0,
  overhead: new Float64Array(BINS),
  latency: new Float64Array(BINS),
});
