import { createRoute, z } from '@hono/zod-openapi';
import type { Api } from './api.js';
import { json } from './schemas/responses.js';
import type { Services } from './services.js';

const readiness = z
  .object({ ready: z.boolean(), checks: z.record(z.string(), z.looseObject({ ok: z.boolean(), detail: z.string().optional() })) })
  .openapi('Readiness');

const healthz = createRoute({
  method: 'get',
  path: '/healthz',
  tags: ['operation'],
  summary: 'The process answers',
  security: [],
  responses: { 200: json(z.object({ ok: z.boolean() }), 'It does.') },
});

const readyz = createRoute({
  method: 'get',
  path: '/readyz',
  tags: ['operation'],
  summary: 'Calls can be taken',
  security: [],
  responses: { 200: json(readiness, 'They can.'), 503: json(readiness, 'They cannot; `checks` says why.') },
});

export function healthRoutes(app: Api, services: Services): void {
  app.openapi(healthz, (c) => c.json({ ok: true }, 200));
  app.openapi(readyz, async (c) => {
    const health = await services.health();
    return c.json(health, health.ready ? 200 : 503, { 'cache-control': 'no-store' });
  });
}
