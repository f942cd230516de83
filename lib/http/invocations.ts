import { createRoute, z } from '@hono/zod-openapi';
import { PRIORITIES } from '../core/functions/model.js';
import { type DeadReason, STATES } from '../core/invocations/model.js';
import { invalidField, notFound, Refusal } from '../core/refusal.js';
import { type Api, needs } from './api.js';
import { inlineResult, presentDeadLetter, presentInvocation } from './present/invocation.js';
import { strict, time, whole, wholeText } from './schemas/fields.js';
import { deadLetterSchema, invocationSchema, replaySchema, syncAnswerSchema } from './schemas/invocation.js';
import { pageFields, pageOf } from './schemas/page.js';
import { json, jsonBody, refused } from './schemas/responses.js';
import type { Services } from './services.js';

const tags = ['invocations'];
const DEAD_REASONS = [
  'max_retries',
  'max_age',
  'platform_fault',
  'poison',
  'function_deleted',
  'batch_item_failure',
  'undecodable',
] as const satisfies readonly DeadReason[];
const byFunction = z.object({ functionId: z.string() });
const byRequest = z.object({ requestId: z.string() });

/** `req_` and 26 signs: anything else cannot exist, and is not looked up. */
const REQUEST_ID = /^req_[0-9a-hjkmnp-tv-z]{26}$/;

const getInvocation = createRoute({
  method: 'get',
  path: '/invocations/{requestId}',
  tags,
  summary: 'State, attempts, result or error of one invocation',
  middleware: needs('read'),
  request: { params: byRequest },
  responses: { 200: json(invocationSchema, 'The invocation.'), ...refused },
});

const listInvocations = createRoute({
  method: 'get',
  path: '/functions/{functionId}/invocations',
  tags,
  summary: 'Invocations of a function, newest first',
  description: 'Results over 32 KB are left out here; GET /invocations/{requestId} tells them.',
  middleware: needs('read'),
  request: {
    params: byFunction,
    query: strict({
      ...pageFields,
      state: z
        .string()
        .optional()
        .openapi({ description: `One of ${STATES.join(', ')}, or several with commas.`, example: 'SUCCEEDED' }),
      from: time.optional().openapi({ description: 'Accepted at or after.' }),
      to: time.optional().openapi({ description: 'Accepted before.' }),
    }),
  },
  responses: { 200: json(pageOf(invocationSchema), 'One page.'), ...refused },
});

const deadLetterFields = {
  from: time.optional().openapi({ description: 'Died at or after.' }),
  to: time.optional().openapi({ description: 'Died before.' }),
  errorType: z.string().min(1).max(256).optional(),
  reason: z.enum(DEAD_REASONS).optional(),
};

const listDeadLetters = createRoute({
  method: 'get',
  path: '/functions/{functionId}/dead-letters',
  tags,
  summary: 'Dead letters of a function',
  middleware: needs('read'),
  request: { params: byFunction, query: strict({ ...pageFields, ...deadLetterFields }) },
  responses: { 200: json(pageOf(deadLetterSchema), 'One page.'), ...refused },
});

const replaySome = createRoute({
  method: 'post',
  path: '/functions/{functionId}/dead-letters/replay',
  tags,
  summary: 'Replay dead letters: some by filter, or all',
  description: 'Each keeps its request id and gets a new chain of attempts. Follow it by GET /replays/{replayId}.',
  middleware: needs('change'),
  request: {
    params: byFunction,
    body: jsonBody(
      strict({
        filter: strict({ ...deadLetterFields, requestIds: z.array(z.string().max(64)).min(1).max(1000).optional() }).optional(),
        ratePerSec: whole(1, 10_000).optional(),
      }),
    ),
  },
  responses: { 202: json(replaySchema, 'Under way.'), ...refused },
});

const replayOne = createRoute({
  method: 'post',
  path: '/invocations/{requestId}/replay',
  tags,
  summary: 'Replay one dead letter',
  middleware: needs('change'),
  request: { params: byRequest },
  responses: { 202: json(replaySchema, 'Under way.'), ...refused },
});

const getReplay = createRoute({
  method: 'get',
  path: '/replays/{replayId}',
  tags,
  summary: 'Progress of a replay',
  middleware: needs('read'),
  request: { params: z.object({ replayId: z.string() }) },
  responses: { 200: json(replaySchema, 'As far as it has come.'), ...refused },
});

/** Served by the data path's own server; here for the document, and so that another method on it is 405. */
const invoke = {
  method: 'post' as const,
  path: '/functions/{functionId}/invoke',
  tags,
  summary: 'Invoke a function',
  description:
    'Without `mode`: accepted durably and answered with 202. With `?mode=sync`: answered with the result; a fault of the function’s own code is ' +
    '200 with status FAILED and the header X-Fns-Function-Error. The same Idempotency-Key and payload within 24 h give the first answer again.',
  request: {
    params: byFunction,
    query: z.object({
      mode: z.enum(['async', 'sync']).optional(),
      waitSec: wholeText(1, 900).optional().openapi({ description: 'A sync caller waits this long, then gets 202 with Location.' }),
    }),
    headers: z.object({ 'idempotency-key': z.string().max(255).optional() }),
    body: jsonBody(
      strict({
        payload: z.unknown().optional(),
        qualifier: z.string().optional().openapi({ description: '$LATEST (default) or a version number.' }),
        priority: z.enum(PRIORITIES).optional(),
      }).openapi('Invoke'),
    ),
  },
  responses: {
    200: json(syncAnswerSchema, 'The sync answer.'),
    202: json(z.object({ requestId: z.string(), accepted: z.literal(true) }), 'Accepted: it survives any crash.'),
    ...refused,
  },
};

export function invocationsRoutes(app: Api, services: Services): void {
  app.openAPIRegistry.registerPath(invoke);
  readRoutes(app, services);
  replayRoutes(app, services);
}

function statesOf(text: string | undefined) {
  if (text === undefined) return undefined;
  const states = text.split(',');
  const unknown = states.find((each) => !(STATES as readonly string[]).includes(each));
  if (unknown !== undefined) throw invalidField('state', `'${unknown.slice(0, 60)}' is not a state`, STATES.join(', '));
  return states as (typeof STATES)[number][];
}

function readRoutes(app: Api, { invocations, functions }: Services): void {
  app.openapi(getInvocation, async (c) => {
    const { requestId } = c.req.valid('param');
    const head = REQUEST_ID.test(requestId) ? await invocations.get(c.get('principal').tenantId, requestId) : undefined;
    if (!head) throw notFound('invocation', requestId);
    return c.body(presentInvocation(head, await invocations.result(head)), 200, { 'content-type': 'application/json' }) as never;
  });
  app.openapi(listInvocations, async (c) => {
    const { from, to, state, limit, cursor } = c.req.valid('query');
    const states = statesOf(state);
    const { tenantId, functionId } = await functions.get(c.get('principal').tenantId, c.req.valid('param').functionId);
    const page = await invocations.list({ tenantId, functionId, states, fromMs: from, toMs: to, limit, cursor });
    const items = page.items.map((head) => presentInvocation(head, inlineResult(head))).join(',');
    const next = page.nextCursor === undefined ? '' : `,"nextCursor":${JSON.stringify(page.nextCursor)}`;
    return c.body(`{"items":[${items}]${next}}`, 200, { 'content-type': 'application/json' }) as never;
  });
  app.openapi(listDeadLetters, async (c) => {
    const { from, to, ...rest } = c.req.valid('query');
    const { tenantId, functionId } = await functions.get(c.get('principal').tenantId, c.req.valid('param').functionId);
    const page = await invocations.deadLetters({ ...rest, tenantId, functionId, fromMs: from, toMs: to });
    return c.json({ items: page.items.map(presentDeadLetter), nextCursor: page.nextCursor }, 200);
  });
}

function replayRoutes(app: Api, { invocations, functions }: Services): void {
  app.openapi(replaySome, async (c) => {
    const { filter = {}, ratePerSec } = c.req.valid('json');
    const { from, to, ...rest } = filter;
    const who = c.get('principal');
    const { tenantId, functionId } = await functions.get(who.tenantId, c.req.valid('param').functionId);
    const progress = await invocations.replay({ ...rest, tenantId, functionId, fromMs: from, toMs: to }, ratePerSec, who.keyId);
    return c.json(progress, 202, { location: `/api/v1/replays/${progress.replayId}` });
  });
  app.openapi(replayOne, async (c) => {
    const { requestId } = c.req.valid('param');
    const who = c.get('principal');
    const progress = REQUEST_ID.test(requestId) ? await invocations.replayOne(who.tenantId, requestId, who.keyId) : undefined;
    if (!progress) throw notFound('invocation', requestId);
    if (progress instanceof Refusal) throw progress;
    return c.json(progress, 202, { location: `/api/v1/replays/${progress.replayId}` });
  });
  app.openapi(getReplay, async (c) => {
    const { replayId } = c.req.valid('param');
    const progress = /^[\w-]{1,64}$/.test(replayId) ? await invocations.replayProgress(c.get('principal').tenantId, replayId) : undefined;
    if (!progress) throw notFound('replay', replayId);
    return c.json(progress, 200);
  });
}
