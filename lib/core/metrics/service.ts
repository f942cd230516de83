import type { FunctionId, TenantId } from '../ids.js';
import type { SlotCounts } from '../scheduling/port.js';
import { quantile } from './histogram.js';
import { type Measured, type MetricsRecorder, WINDOW_SEC } from './recorder.js';

/** Figures that others know, asked for when they are shown. */
export interface MetricSources {
  slots(functionId?: FunctionId, tenantId?: TenantId): SlotCounts;
  /** Age of the oldest request that is due and waits, ms. */
  queueLagMs(functionId?: FunctionId, tenantId?: TenantId): number;
  /** Accepted and not yet run, all tenants. */
  backlog(): number;
  /** Share of the last hour's bill that differed from what was metered, before its correction. */
  billingDrift(of?: { tenantId?: TenantId; functionId?: FunctionId }): number;
  storeIsWell(): boolean;
}

export interface MetricsView {
  windowSec: number;
  /** Attempts that ended in the window. */
  requests: number;
  coldStartRatio: number;
  /** From acceptance (async: claim) to the recorded outcome, the handler's time in it. */
  invokeLatencyP95Ms: number;
  /** The same with the handler's time taken out. */
  platformOverheadP95Ms: number;
  /** Of the attempts that the tenant's own faults did not end: the share that succeeded. */
  invokeSuccessRate: number;
  /** Share of attempts that failed, whoever's fault it was. */
  errorRate: number;
  queueLagMs: number;
  billingDrift: number;
  slots: SlotCounts;
}

/** Metrics as routes and dashboards show them. Every figure is finite, also where nothing was called. */
export class Metrics {
  constructor(
    readonly recorder: MetricsRecorder,
    readonly sources: MetricSources,
  ) {}

  ofTenant(tenantId: TenantId): MetricsView {
    return this.view(this.recorder.ofTenant(tenantId), { tenantId });
  }

  ofFunction(tenantId: TenantId, functionId: FunctionId): MetricsView {
    return this.view(this.recorder.ofFunction(functionId), { tenantId, functionId });
  }

  private view(measured: Measured, of: { tenantId: TenantId; functionId?: FunctionId }): MetricsView {
    const { slots, queueLagMs, billingDrift } = this.sources;
    return {
      windowSec: WINDOW_SEC,
      requests: measured.requests,
      ...ratesOf(measured),
      invokeLatencyP95Ms: quantile(measured.latency, 0.95),
      platformOverheadP95Ms: quantile(measured.overhead, 0.95),
      queueLagMs: Math.max(0, queueLagMs(of.functionId, of.tenantId)),
      billingDrift: billingDrift(of),
      slots: slots(of.functionId, of.tenantId),
    };
  }
}

export function ratesOf({
  requests,
  coldStarts,
  tenantFaults,
  platformFaults,
}: Measured): Pick<MetricsView, 'coldStartRatio' | 'invokeSuccessRate' | 'errorRate'> {
  const ours = requests - tenantFaults;
  return {
    coldStartRatio: requests === 0 ? 0 : coldStarts / requests,
    invokeSuccessRate: ours === 0 ? 1 : (ours - platformFaults) / ours,
    errorRate: requests === 0 ? 0 : (tenantFaults + platformFaults) / requests,
  };
}
