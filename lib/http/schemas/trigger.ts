import { z } from '@hono/zod-openapi';
import { DEFAULTS } from '../../core/defaults.js';
import { AUTHS, METHODS } from '../../core/triggers/model.js';
import { strict, timeText, whole } from './fields.js';

const common = {
  qualifier: z.string().max(16).optional().openapi({ description: '`$LATEST` (default) or a version number.', example: '$LATEST' }),
  enabled: z.boolean().optional(),
};

const texts = z.array(z.string().min(1).max(256)).max(50);
const cors = strict({
  allowOrigins: texts.optional().openapi({ description: 'Exact origins, or `*` (default).' }),
  allowMethods: texts.optional().openapi({ description: 'Default: the methods of the route.' }),
  allowHeaders: texts.optional().openapi({ description: '`*` (default): whatever a preflight asks for.' }),
  exposeHeaders: texts.optional(),
  allowCredentials: z.boolean().optional(),
  maxAgeSec: whole(0, 86_400).optional(),
});

const http = {
  path: z.string().max(512).openapi({ example: '/hello/{name}' }),
  methods: z.array(z.enum(METHODS)).max(METHODS.length).optional().openapi({ description: 'Default: ANY. GET implies HEAD.' }),
  auth: z.enum(AUTHS).optional().openapi({ description: 'Default: key, sent as `Authorization: Bearer` or `x-api-key`.' }),
  idempotency: z.boolean().optional().openapi({ description: 'The Idempotency-Key header counts on this route.' }),
};

const cron = {
  schedule: z.string().min(1).max(256).openapi({ example: '*/5 * * * *' }),
  timezone: z.string().max(64).optional().openapi({ example: 'Asia/Shanghai', description: 'IANA name; default UTC.' }),
  input: z.unknown().optional().openapi({ description: 'Any JSON value, given to the handler as `input`.' }),
  missedRuns: z
    .enum(['once', 'skip'])
    .optional()
    .openapi({ description: 'Runs missed while the platform was down: made up once (default), or not.' }),
};

const queue = {
  queue: z.string().max(80).optional().openapi({ example: 'orders', description: "FNS's own queue, made on first use." }),
  queueUrl: z
    .url({ protocol: /^https?$/ })
    .max(1024)
    .optional()
    .openapi({ description: 'Any SQS queue, in place of `queue`.' }),
  batchSize: whole(1, DEFAULTS.queueBatchSizeMax)
    .optional()
    .openapi({ description: `Default ${DEFAULTS.queueBatchSize}.` }),
  batchWindowMs: whole(0, DEFAULTS.queueBatchWindowMsMax)
    .optional()
    .openapi({ description: 'A batch that is not full waits for more so long; default 0.' }),
  maxConcurrency: whole(1, DEFAULTS.queueTriggerConcurrencyMax)
    .optional()
    .openapi({ description: `Batches at once; default ${DEFAULTS.queueTriggerConcurrency}.` }),
};

export const triggerCreate = z
  .discriminatedUnion('type', [
    strict({ type: z.literal('http'), ...common, ...http, cors: cors.optional() }),
    strict({ type: z.literal('cron'), ...common, ...cron }),
    strict({ type: z.literal('queue'), ...common, ...queue }),
  ])
  .openapi('TriggerCreate');

export const triggerPatch = strict({
  type: z.string().optional(),
  ...common,
  ...z.object(http).partial().shape,
  cors: cors.nullable().optional().openapi({ description: 'Merged; null takes it away.' }),
  ...z.object(cron).partial().shape,
  ...queue,
}).openapi('TriggerPatch');

export const triggerSchema = z
  .object({
    triggerId: z.string().openapi({ example: 'trg_01jd3w8m5k7x2f9r4qbn' }),
    type: z.enum(['http', 'cron', 'queue']),
    functionId: z.string(),
    qualifier: z.string(),
    enabled: z.boolean(),
    state: z.enum(['ENABLED', 'DISABLED', 'PAUSED', 'FAILING', 'LAGGING', 'ENDED']).openapi({
      description: 'PAUSED: the function is disabled. FAILING: the last run failed or was refused. LAGGING: messages wait over a minute.',
    }),
    lastResult: z.object({ at: timeText, state: z.string(), requestId: z.string().optional(), code: z.string().optional() }).optional(),
    createdAt: timeText,
    updatedAt: timeText,
    path: z.string().optional(),
    methods: z.array(z.string()).optional(),
    auth: z.enum(AUTHS).optional(),
    idempotency: z.boolean().optional(),
    cors: z.record(z.string(), z.unknown()).optional(),
    url: z.string().optional().openapi({ description: "On the tenant's own site.", example: 'http://default.localhost:8787/hello/{name}' }),
    pathUrl: z
      .string()
      .optional()
      .openapi({ description: "The same on the API's host.", example: 'http://127.0.0.1:8787/http/default/hello/{name}' }),
    schedule: z.string().optional(),
    timezone: z.string().optional(),
    input: z.unknown().optional(),
    missedRuns: z.enum(['once', 'skip']).optional(),
    nextRuns: z.array(timeText).optional().openapi({ description: 'The next three instants.' }),
    queue: z.string().optional(),
    queueUrl: z.string().optional(),
    batchSize: z.int().optional(),
    batchWindowMs: z.int().optional(),
    maxConcurrency: z.int().optional(),
    depth: z.int().optional().openapi({ description: 'Messages that are not settled.' }),
    lagMs: z.int().optional().openapi({ description: 'Age of the oldest of them.' }),
  })
  .openapi('Trigger');

export const messagesPut = strict({
  messages: z
    .array(strict({ id: z.string().max(128).optional(), body: z.string(), group: z.string().max(128).optional() }))
    .min(1)
    .max(DEFAULTS.queueMessagesPerCall),
}).openapi('Messages');

export const messagesAnswer = z
  .object({
    accepted: z.int(),
    duplicates: z.int().openapi({ description: 'Ids that were sent within 24 h already: they do not run again.' }),
    messageIds: z.array(z.string()),
  })
  .openapi('MessagesAccepted');

export const queueSchema = z
  .object({
    name: z.string(),
    depth: z.int().openapi({ description: 'Messages that are not settled, those in flight included.' }),
    inFlight: z.int(),
    bytes: z.int(),
    oldestAgeMs: z.int().openapi({ description: '0 where the queue is empty.' }),
    createdAt: timeText,
  })
  .openapi('Queue');
