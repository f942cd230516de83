import fc from 'fast-check';
import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import type { MeasuredAttempt } from '../../../lib/core/invocations/parts.js';
import { BINS, binOf, quantile } from '../../../lib/core/metrics/histogram.js';
import { MetricsRecorder, OTHER_TENANTS, TENANTS_MAX, WINDOW_SEC } from '../../../lib/core/metrics/recorder.js';
import { Metrics } from '../../../lib/core/metrics/service.js';
import { PrometheusText } from '../../../lib/embedded/metrics/prometheus.js';

const ACME = asTenantId('acme');
const FN = asFunctionId('fn_a');

function bench() {
  const time = { ms: 1_000_000 };
  const recorder = new MetricsRecorder({ now: () => time.ms, monotonicMs: () => time.ms, after: () => () => {} });
  const metrics = new Metrics(recorder, {
    slots: () => ({ starting: 1, idle: 2, busy: 3 }),
    queueLagMs: () => 1500,
    backlog: () => 7,
    billingDrift: () => 0.25,
    storeIsWell: () => true,
  });
  const record = (more: Partial<MeasuredAttempt> = {}) =>
    recorder.record({
      ...{
        tenantId: ACME,
        functionId: FN,
        version: '1',
        mode: 'sync',
        coldStart: false,
        durationMs: 100,
        overheadMs: 2,
        outcome: 'SUCCEEDED',
        fault: null,
      },
      ...more,
    });
  return { time, recorder, metrics, record };
}

describe('a histogram of durations', () => {
  it('gives a quantile that is off by 19 % at most', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.02, max: 900_000, noNaN: true }), { minLength: 1, maxLength: 300 }), (values) => {
        const bins = new Uint32Array(BINS);
        for (const value of values) bins[binOf(value)]!++;
        const exact = [...values].sort((a, b) => a - b)[Math.ceil(0.95 * values.length) - 1] as number;
        const shown = quantile(bins, 0.95);
        expect(shown / exact).toBeGreaterThan(0.83);
        expect(shown / exact).toBeLessThan(1.2);
      }),
    );
  });

  it('takes any number, and answers 0 where there is none', () => {
    for (const odd of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) expect(binOf(odd)).toBeLessThan(BINS);
    expect(quantile(new Uint32Array(BINS), 0.95)).toBe(0);
  });
});

describe('metrics', () => {
  it('are finite where nothing was called: no errors, and success', () => {
    expect(bench().metrics.ofTenant(ACME)).toEqual({
      ...{
        windowSec: WINDOW_SEC,
        requests: 0,
        coldStartRatio: 0,
        invokeLatencyP95Ms: 0,
        platformOverheadP95Ms: 0,
        invokeSuccessRate: 1,
        errorRate: 0,
      },
      ...{ queueLagMs: 1500, billingDrift: 0.25, slots: { starting: 1, idle: 2, busy: 3 } },
    });
  });

  it('tell the platform’s own time from the whole, and our faults from the tenant’s', () => {
    const { metrics, record } = bench();
    record({ coldStart: true });
    record();
    record({ fault: 'tenant', outcome: 'FAILED' });
    record({ fault: 'platform', outcome: 'LOST' });
    const view = metrics.ofFunction(ACME, FN);
    expect(view).toMatchObject({ requests: 4, coldStartRatio: 0.25, errorRate: 0.5 });
    expect(view.invokeSuccessRate).toBeCloseTo(2 / 3);
    expect(view.platformOverheadP95Ms).toBeGreaterThan(1.6);
    expect(view.platformOverheadP95Ms).toBeLessThan(2.5);
    expect(view.invokeLatencyP95Ms).toBeGreaterThan(85);
    expect(view.invokeLatencyP95Ms).toBeLessThan(125);
  });

  it('add up over the functions of a tenant, and show nobody another tenant', () => {
    const { metrics, record } = bench();
    record();
    record({ functionId: asFunctionId('fn_b') });
    record({ functionId: asFunctionId('fn_c'), tenantId: asTenantId('other') });
    expect(metrics.ofTenant(ACME).requests).toBe(2);
    expect(metrics.ofFunction(ACME, FN).requests).toBe(1);
  });

  it('forget what is older than the window, bucket by bucket', () => {
    const { metrics, record, time } = bench();
    record();
    time.ms += 200_000;
    record();
    expect(metrics.ofTenant(ACME).requests).toBe(2);
    time.ms += 101_000;
    expect(metrics.ofTenant(ACME).requests).toBe(1);
    time.ms += 10 * 300_000;
    expect(metrics.ofTenant(ACME).requests).toBe(0);
    record();
    expect(metrics.ofTenant(ACME).requests).toBe(1);
  });

  it('keep memory for functions that are called, not for all that ever were', () => {
    const { recorder, record, time } = bench();
    for (let i = 0; i < 3000; i += 1) {
      record({ functionId: asFunctionId(`fn_${i}`) });
      time.ms += 5_000;
    }
    expect((recorder as unknown as { rings: Map<string, unknown> }).rings.size).toBeLessThan(600);
  });
});

describe('the Prometheus text', () => {
  it('has the attempts by tenant and fault, store, lag, backlog, drift, slots and the overhead as a histogram', async () => {
    const { metrics, record } = bench();
    record({ coldStart: true });
    record({ fault: 'tenant', outcome: 'FAILED' });
    const prometheus = new PrometheusText(metrics);
    await prometheus.text();
    const text = await prometheus.text();
    expect(prometheus.contentType).toMatch(/^text\/plain/);
    for (const line of [
      'fns_attempts_total{tenant="acme",fault="none"} 1',
      'fns_attempts_total{tenant="acme",fault="tenant"} 1',
      'fns_cold_starts_total{tenant="acme"} 1',
      'fns_handler_seconds_total{tenant="acme"} 0.2',
      'fns_store_up 1',
      'fns_queue_lag_seconds 1.5',
      'fns_backlog 7',
      'fns_billing_drift_ratio 0.25',
      'fns_slots{state="busy"} 3',
      'fns_platform_overhead_seconds_bucket{le="+Inf"} 2',
      'fns_platform_overhead_seconds_count 2',
      'fns_platform_overhead_seconds_sum 0.004',
      '# TYPE fns_platform_overhead_seconds histogram',
    ])
      expect(text.split('\n')).toContain(line);
    const shape = /^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? (-?[\d.]+(e[+-]?\d+)?|NaN|[+-]Inf)$/i;
    for (const line of text
      .trim()
      .split('\n')
      .filter((l) => !l.startsWith('#')))
      expect(line).toMatch(shape);
  });

  it('stays small whatever the number of tenants', () => {
    const { recorder, record } = bench();
    for (let i = 0; i < 500; i += 1) record({ tenantId: asTenantId(`t${i}`) });
    expect(recorder.byTenant().size).toBeLessThanOrEqual(TENANTS_MAX + 1);
    expect(recorder.byTenant().get(OTHER_TENANTS)?.succeeded).toBe(500 - TENANTS_MAX);
  });
});
