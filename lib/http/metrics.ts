import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { isFunctionId } from '../core/functions/service.js';
import type { MetricsView } from '../core/metrics/service.js';
import { notFound, Refusal } from '../core/refusal.js';
import { type Api, type ApiEnv, needs } from './api.js';
import { bearerOf } from './bearer.js';
import { json, refused } from './schemas/responses.js';
import type { Services } from './services.js';

const ratio = z.number().min(0).max(1);
const metricsSchema = z
  .object({
    windowSec: z.int().openapi({ description: 'The figures are of so many seconds until now.' }),
    requests: z.int().openapi({ description: 'Attempts that ended in the window.' }),
    coldStartRatio: ratio,
    invokeLatencyP95Ms: z
      .number()
      .openapi({ description: 'From acceptance (asynchronous: claim) to the recorded outcome, the handler’s time included.' }),
    platformOverheadP95Ms: z.number().openapi({ description: 'The same with the handler’s time taken out.' }),
    invokeSuccessRate: ratio.openapi({ description: 'Share of success among attempts that no fault of the tenant ended.' }),
    errorRate: ratio.openapi({ description: 'Share of attempts that failed, by whoever’s fault.' }),
    queueLagMs: z.number().openapi({ description: 'Age of the oldest request that is due and waits.' }),
    billingDrift: ratio.openapi({ description: '|metered - billed| / metered in the last hour, before its correction.' }),
    slots: z.object({ starting: z.int(), idle: z.int(), busy: z.int() }),
  })
  .openapi('Metrics');

const tags = ['metrics'];

const tenantMetrics = createRoute({
  method: 'get',
  path: '/functions/metrics',
  tags,
  summary: 'Figures of all functions of the tenant',
  middleware: [needs('read')] as const,
  responses: { 200: json(metricsSchema, 'Every figure is finite, also where nothing was called.'), ...refused },
});

const functionMetrics = createRoute({
  method: 'get',
  path: '/functions/{functionId}/metrics',
  tags,
  summary: 'Figures of one function',
  middleware: [needs('read')] as const,
  request: { params: z.object({ functionId: z.string() }) },
  responses: { 200: json(metricsSchema, 'Every figure is finite, also where nothing was called.'), ...refused },
});

export function metricsRoutes(app: Api, { metrics, functions }: Services): void {
  app.openapi(tenantMetrics, (c) => c.json(metrics.ofTenant(c.get('principal').tenantId) satisfies MetricsView, 200));
  app.openapi(functionMetrics, async (c) => {
    const { functionId: asked } = c.req.valid('param');
    if (!isFunctionId(asked)) throw notFound('function', asked);
    const { tenantId } = c.get('principal');
    const { functionId } = await functions.get(tenantId, asked);
    return c.json(metrics.ofFunction(tenantId, functionId), 200);
  });
}

/** Prometheus at the root. Open to scrapers on this machine that came by no proxy; from elsewhere with the platform admin's key. */
export function prometheusRoutes(app: Api, { prometheus, authenticator }: Services): void {
  app.get('/metrics', async (c) => {
    if (!fromThisMachine(c)) {
      const bearer = bearerOf(c.req.header('authorization'));
      const who = bearer ? (authenticator.known(bearer) ?? (await authenticator.authenticate(bearer))) : undefined;
      if (!who)
        throw new Refusal(401, 'FNS_401_UNAUTHENTICATED', 'Send the platform admin’s key: Authorization: Bearer <key>.', {
          headers: { 'www-authenticate': 'Bearer realm="fns"' },
        });
      if (!who.admin) throw new Refusal(403, 'FNS_403_FORBIDDEN', 'Only the platform admin may read the platform’s metrics.');
    }
    return c.text(await prometheus.text(), 200, { 'content-type': prometheus.contentType, 'cache-control': 'no-store' });
  });
}

/** A proxy on this machine speaks for others, and says so. */
function fromThisMachine(c: Context<ApiEnv>): boolean {
  const forwarded = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => c.req.header(name) !== undefined);
  const { incoming } = (c.env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return !forwarded && /^(127\.|::1$|::ffff:127\.)/.test(incoming?.socket?.remoteAddress ?? '');
}
