import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { BINS, upperMs } from '../../core/metrics/histogram.js';
import type { Totals } from '../../core/metrics/recorder.js';
import { type Metrics, ratesOf } from '../../core/metrics/service.js';

/** Prometheus' text of the whole platform, put together when it is asked for. No tenant's data but counts by tenant id. */
export class PrometheusText {
  private readonly registry = new Registry();
  readonly contentType = this.registry.contentType;

  constructor(private readonly metrics: Metrics) {
    // `eventLoopMonitoringPrecision`: the default samples each 10 ms, which an idle machine feels.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: 100 });
    this.attempts();
    this.gauges();
    this.overhead();
  }

  async text(): Promise<string> {
    // prom-client parts metrics by empty lines, which simple readers do not expect.
    return (await this.registry.metrics()).replaceAll(/\n{2,}/g, '\n');
  }

  private attempts(): void {
    const { recorder } = this.metrics;
    const byTenant = (name: string, help: string, valuesOf: (totals: Totals) => [Record<string, string>, number][], labels: string[]) =>
      new Counter({
        name,
        help,
        labelNames: ['tenant', ...labels],
        registers: [this.registry],
        collect() {
          this.reset();
          for (const [tenant, totals] of recorder.byTenant())
            for (const [label, value] of valuesOf(totals)) this.inc({ tenant, ...label }, value);
        },
      });
    byTenant(
      'fns_attempts_total',
      'Attempts that ended, by whose fault ended them (none: succeeded).',
      (t) => [
        [{ fault: 'none' }, t.succeeded],
        [{ fault: 'tenant' }, t.tenantFaults],
        [{ fault: 'platform' }, t.platformFaults],
      ],
      ['fault'],
    );
    byTenant('fns_cold_starts_total', 'Attempts for which code had to be loaded.', (t) => [[{}, t.coldStarts]], []);
    byTenant('fns_handler_seconds_total', 'Time that handlers ran.', (t) => [[{}, t.handlerMs / 1000]], []);
  }

  private gauges(): void {
    const { recorder, sources } = this.metrics;
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(value());
        },
      });
    gauge('fns_store_up', '1 while the store takes writes.', () => (sources.storeIsWell() ? 1 : 0));
    gauge('fns_queue_lag_seconds', 'Age of the oldest request that is due and waits.', () => sources.queueLagMs() / 1000);
    gauge('fns_backlog', 'Requests accepted and not yet run.', () => sources.backlog());
    gauge('fns_billing_drift_ratio', 'Share of the last hour’s bill that differed from the meter, before its correction.', () =>
      sources.billingDrift(),
    );
    gauge('fns_cold_start_ratio', 'Over the last five minutes.', () => ratesOf(recorder.ofAll()).coldStartRatio);
    gauge(
      'fns_invoke_success_rate',
      'Over the last five minutes, faults of tenants left out.',
      () => ratesOf(recorder.ofAll()).invokeSuccessRate,
    );
    const { registry } = this;
    new Gauge({
      name: 'fns_slots',
      help: 'Slots by what they do.',
      labelNames: ['state'],
      registers: [registry],
      collect() {
        for (const [state, count] of Object.entries(sources.slots())) this.set({ state }, count);
      },
    });
  }

  /** The recorder has counted into its own bins already; prom-client's histogram would count anew on the hot path. */
  private overhead(): void {
    const { recorder } = this.metrics;
    const name = 'fns_platform_overhead_seconds';
    const get = () => {
      const values: { value: number; metricName: string; labels: Record<string, string | number> }[] = [];
      let count = 0;
      for (let bin = 0; bin < BINS; bin += 1) {
        count += recorder.overhead[bin] as number;
        // Whole octaves are bounds enough: 1/32 ms, 1/16 ms, …
        if (bin % 4 === 3) values.push({ value: count, metricName: `${name}_bucket`, labels: { le: upperMs(bin) / 1000 } });
      }
      values.push({ value: count, metricName: `${name}_bucket`, labels: { le: '+Inf' } });
      values.push({ value: recorder.overheadSumMs / 1000, metricName: `${name}_sum`, labels: {} });
      values.push({ value: count, metricName: `${name}_count`, labels: {} });
      return {
        name,
        help: 'From acceptance to the recorded outcome, the handler’s time taken out.',
        type: 'histogram',
        values,
        aggregator: 'sum',
      };
    };
    this.registry.registerMetric({ name, get, reset: () => {} } as never);
  }
}
