import { createRoute, z } from '@hono/zod-openapi';
import { type Api, needs } from './api.js';
import { presentQueue } from './present/trigger.js';
import { pageOf, pageQuery } from './schemas/page.js';
import { json, jsonBody, refused } from './schemas/responses.js';
import { messagesAnswer, messagesPut, queueSchema } from './schemas/trigger.js';
import type { Services } from './services.js';

const tags = ['queues'];
const byName = z.object({ name: z.string() });

const putMessages = createRoute({
  method: 'post',
  path: '/queues/{name}/messages',
  tags,
  summary: 'Send messages; the queue is made on first use',
  description: 'Durable when answered. A given `id` is the message id and enters once within 24 h, so a call may be repeated.',
  middleware: needs('use'),
  request: { params: byName, body: jsonBody(messagesPut) },
  responses: { 202: json(messagesAnswer, 'Accepted.'), ...refused },
});

const listQueues = createRoute({
  method: 'get',
  path: '/queues',
  tags,
  summary: 'List queues by name',
  middleware: needs('read'),
  request: { query: pageQuery },
  responses: { 200: json(pageOf(queueSchema), 'One page.'), ...refused },
});

const getQueue = createRoute({
  method: 'get',
  path: '/queues/{name}',
  tags,
  summary: 'One queue: depth, age of the oldest message, messages in flight',
  middleware: needs('read'),
  request: { params: byName },
  responses: { 200: json(queueSchema, 'The queue.'), ...refused },
});

export function queuesRoutes(app: Api, { queues, clock }: Services): void {
  app.openapi(putMessages, async (c) => {
    const done = await queues.put(c.get('principal').tenantId, c.req.valid('param').name, c.req.valid('json').messages);
    return c.json(done, 202);
  });
  app.openapi(listQueues, async (c) => {
    const page = await queues.list(c.get('principal').tenantId, c.req.valid('query'));
    return c.json({ items: page.items.map((each) => presentQueue(each, clock.now())), nextCursor: page.nextCursor }, 200);
  });
  app.openapi(getQueue, async (c) => {
    const found = await queues.get(c.get('principal').tenantId, c.req.valid('param').name);
    return c.json(presentQueue(found, clock.now()), 200);
  });
}
