import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import { MetricsRecorder } from '../../../lib/core/metrics/recorder.js';
import { Metrics } from '../../../lib/core/metrics/service.js';
import { api } from '../../../lib/http/app.js';
import { clock, servicesOf } from './services.js';

const metrics = new Metrics(new MetricsRecorder(clock), {
  slots: () => ({ starting: 0, idle: 0, busy: 0 }),
  queueLagMs: () => 0,
  backlog: () => 0,
  billingDrift: () => 0,
  storeIsWell: () => true,
});
const functionId = asFunctionId('fn_00000000000000000001');
const app = api(
  servicesOf({
    metrics,
    prometheus: { contentType: 'text/plain; version=0.0.4; charset=utf-8', text: async () => 'fns_store_up 1\n' },
    functions: { get: async () => ({ functionId, tenantId: asTenantId('default') }) } as never,
    metering: {} as never,
  }),
);
const ask = (
  path: string,
  key: string | null,
  more: { remote?: string; headers?: Record<string, string>; method?: string; body?: string } = {},
) =>
  app.fetch(
    new Request(`http://localhost${path}`, {
      method: more.method ?? 'GET',
      body: more.body,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(more.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...more.headers,
      },
    }),
    { incoming: { socket: { remoteAddress: more.remote ?? '10.0.0.9' } } },
  );

describe('who may see figures and bills', () => {
  it.each([
    ['/api/v1/usage', 'invoker'],
    ['/api/v1/invoices/2026-11', 'invoker'],
    ['/api/v1/functions/metrics', 'billing'],
    ['/api/v1/reconciliation', 'owner'],
  ])('%s is nothing for the role %s', async (path, role) => expect((await ask(path, role)).status).toBe(403));

  it('sets prices only for the platform admin', async () => {
    expect((await ask('/api/v1/price-plan', 'owner', { method: 'PUT', body: '{}' })).status).toBe(403);
    expect((await ask('/api/v1/price-plan', 'admin', { method: 'PUT', body: '{"currency":"USD","colour":1}' })).status).toBe(422);
  });

  it('shows metrics of the tenant and of a function, /functions/metrics not being taken for a function', async () => {
    for (const path of ['/api/v1/functions/metrics', `/api/v1/functions/${functionId}/metrics`]) {
      const answer = await ask(path, 'viewer');
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({ invokeSuccessRate: 1, windowSec: 300 });
    }
    expect((await ask('/api/v1/functions/x/metrics', 'viewer')).status).toBe(404);
  });
});

describe('Prometheus at the root', () => {
  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1'])('is open to %s', async (remote) => {
    const answer = await ask('/metrics', null, { remote });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await answer.text()).toBe('fns_store_up 1\n');
  });

  it('asks everyone else for the platform admin’s key, whoever came through a proxy on this machine too', async () => {
    expect((await ask('/metrics', null)).status).toBe(401);
    expect((await ask('/metrics', 'nobody')).status).toBe(401);
    expect((await ask('/metrics', 'owner')).status).toBe(403);
    expect((await ask('/metrics', 'admin')).status).toBe(200);
    expect((await ask('/metrics', null, { remote: '127.0.0.1', headers: { 'x-forwarded-for': '203.0.113.9' } })).status).toBe(401);
  });
});
