import { createRoute, z } from '@hono/zod-openapi';
import type { TriggerChange, TriggerInput } from '../core/triggers/service.js';
import { type Api, needs } from './api.js';
import { presentTrigger } from './present/trigger.js';
import { pageOf, pageQuery } from './schemas/page.js';
import { json, jsonBody, refused } from './schemas/responses.js';
import { triggerCreate, triggerPatch, triggerSchema } from './schemas/trigger.js';
import type { Services } from './services.js';

const tags = ['triggers'];
const ofFunction = z.object({ functionId: z.string() });
const one = z.object({ functionId: z.string(), triggerId: z.string() });

const createTrigger = createRoute({
  method: 'post',
  path: '/functions/{functionId}/triggers',
  tags,
  summary: 'Bind a route, a schedule or a queue to a function',
  middleware: needs('change'),
  request: { params: ofFunction, body: jsonBody(triggerCreate) },
  responses: { 201: json(triggerSchema, 'Created; it works from now on.'), ...refused },
});

const listTriggers = createRoute({
  method: 'get',
  path: '/functions/{functionId}/triggers',
  tags,
  summary: "List a function's triggers, oldest first",
  middleware: needs('read'),
  request: { params: ofFunction, query: pageQuery },
  responses: { 200: json(pageOf(triggerSchema), 'One page.'), ...refused },
});

const getTrigger = createRoute({
  method: 'get',
  path: '/functions/{functionId}/triggers/{triggerId}',
  tags,
  summary: 'One trigger, with its state',
  middleware: needs('read'),
  request: { params: one },
  responses: { 200: json(triggerSchema, 'The trigger.'), ...refused },
});

const patchTrigger = createRoute({
  method: 'patch',
  path: '/functions/{functionId}/triggers/{triggerId}',
  tags,
  summary: 'Change settings of a trigger; `cors` is merged',
  middleware: needs('change'),
  request: { params: one, body: jsonBody(triggerPatch) },
  responses: { 200: json(triggerSchema, 'Changed.'), ...refused },
});

const removeTrigger = createRoute({
  method: 'delete',
  path: '/functions/{functionId}/triggers/{triggerId}',
  tags,
  summary: 'Remove a trigger; it starts nothing any more',
  middleware: needs('change'),
  request: { params: one },
  responses: { 204: { description: 'Gone.' }, ...refused },
});

export function triggersRoutes(app: Api, { triggers, siteRoots }: Services): void {
  app.openapi(createTrigger, async (c) => {
    const who = c.get('principal');
    const made = await triggers.create(who, c.req.valid('param').functionId, c.req.valid('json') as TriggerInput);
    return c.json(presentTrigger(made, siteRoots(who.tenantId)), 201);
  });
  app.openapi(listTriggers, async (c) => {
    const { tenantId } = c.get('principal');
    const page = await triggers.list(tenantId, c.req.valid('param').functionId, c.req.valid('query'));
    return c.json({ items: page.items.map((each) => presentTrigger(each, siteRoots(tenantId))), nextCursor: page.nextCursor }, 200);
  });
  app.openapi(getTrigger, async (c) => {
    const { tenantId } = c.get('principal');
    const { functionId, triggerId } = c.req.valid('param');
    return c.json(presentTrigger(await triggers.get(tenantId, functionId, triggerId), siteRoots(tenantId)), 200);
  });
  app.openapi(patchTrigger, async (c) => {
    const who = c.get('principal');
    const { functionId, triggerId } = c.req.valid('param');
    const changed = await triggers.update(who, functionId, triggerId, c.req.valid('json') as TriggerChange);
    return c.json(presentTrigger(changed, siteRoots(who.tenantId)), 200);
  });
  app.openapi(removeTrigger, async (c) => {
    const { functionId, triggerId } = c.req.valid('param');
    await triggers.remove(c.get('principal'), functionId, triggerId);
    return c.body(null, 204);
  });
}
