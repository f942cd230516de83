import { createRoute, z } from '@hono/zod-openapi';
import type { AuditFilter, AuditRecord, AuditTrail } from '../core/audit/model.js';
import { rfc3339 } from '../core/clock.js';
import { type Api, needs } from './api.js';
import { strict, time, timeText } from './schemas/fields.js';
import { PAGE_LIMIT_MAX, pageFields, pageOf } from './schemas/page.js';
import { refused } from './schemas/responses.js';
import type { Services } from './services.js';

const recordSchema = z
  .object({
    at: timeText,
    actor: z.string().openapi({ description: 'The key that did it, or `platform`.' }),
    action: z.string(),
    target: z.string(),
    detail: z
      .record(z.string(), z.unknown())
      .optional()
      .openapi({ description: 'What it was before and after; of secrets the names only.' }),
  })
  .openapi('AuditRecord');

const listAudit = createRoute({
  method: 'get',
  path: '/audit',
  tags: ['audit'],
  summary: 'What was changed, by whom, newest first',
  description: 'Kept 180 days. With `Accept: application/x-ndjson` all that match come as JSON lines, without pages.',
  middleware: needs('own'),
  request: {
    query: strict({
      ...pageFields,
      from: time.optional().openapi({ description: 'Included.' }),
      to: time.optional().openapi({ description: 'Not included.' }),
      action: z
        .string()
        .regex(/^[a-z]+(\.[a-z]+)*(\.?\*)?$/, 'must be an action, or its beginning with a * at the end')
        .max(100)
        .optional()
        .openapi({ example: 'function.*' }),
    }),
  },
  responses: {
    200: {
      description: 'One page, or all as lines.',
      content: { 'application/json': { schema: pageOf(recordSchema) }, 'application/x-ndjson': { schema: z.string() } },
    },
    ...refused,
  },
});

const present = ({ at, actor, action, target, detail }: AuditRecord) => ({
  at: rfc3339(at),
  actor,
  action,
  target,
  ...(detail ? { detail } : {}),
});

export function auditRoutes(app: Api, { audit }: Services): void {
  app.openapi(listAudit, async (c) => {
    const { from, to, ...rest } = c.req.valid('query');
    const filter: AuditFilter = { ...rest, tenantId: c.get('principal').tenantId, fromMs: from, toMs: to };
    if (c.req.header('accept')?.includes('application/x-ndjson')) {
      return new Response(lines(audit, filter), { headers: { 'content-type': 'application/x-ndjson' } }) as never;
    }
    const { items, nextCursor } = await audit.list(filter);
    return c.json({ items: items.map(present), nextCursor }, 200);
  });
}

/** All pages, each read when the one before has been taken: a slow reader costs one page of memory. */
function lines(audit: AuditTrail, filter: AuditFilter): ReadableStream<Uint8Array> {
  let cursor = filter.cursor;
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const page = await audit.list({ ...filter, limit: PAGE_LIMIT_MAX, cursor });
      controller.enqueue(encoder.encode(page.items.map((record) => `${JSON.stringify(present(record))}\n`).join('')));
      cursor = page.nextCursor;
      if (cursor === undefined) controller.close();
    },
  });
}
