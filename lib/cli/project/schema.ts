import { z } from 'zod';
import { DEFAULTS } from '../../core/defaults.js';
import { canonicalRuntime, PRIORITIES, RUNTIMES } from '../../core/functions/model.js';
import { METHODS } from '../../core/triggers/model.js';

/** The shape of fns.yaml. What the platform checks again is checked here too, so that a mistake is told with its line. */

const count = (min: number, max: number) =>
  z.int(`must be a whole number from ${min} to ${max}`).min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);
const NAME = /^[a-zA-Z0-9-_]{1,64}$/;
const name = z.string().regex(NAME, 'must be 1 to 64 letters, digits, - or _');
/** YAML reads `PORT: 8080` as a number and `DEBUG: true` as a boolean: in an environment both are text. */
const envValue = z.union([z.string(), z.number(), z.boolean()], 'must be text').transform(String);

/** `cors: true` is any origin; the platform has a name for each setting. */
const cors = z
  .union(
    [
      z.boolean(),
      z.strictObject({
        allowOrigins: z.array(z.string()).optional(),
        allowMethods: z.array(z.string()).optional(),
        allowHeaders: z.array(z.string()).optional(),
        exposeHeaders: z.array(z.string()).optional(),
        allowCredentials: z.boolean().optional(),
        maxAgeSec: count(0, 86_400).optional(),
      }),
    ],
    'must be true, or an object with allowOrigins, allowMethods, allowHeaders, exposeHeaders, allowCredentials, maxAgeSec',
  )
  .transform((asked) => (asked === true ? {} : asked === false ? undefined : asked));

const common = { enabled: z.boolean().optional(), qualifier: z.string().optional() };

const httpTrigger = z.strictObject({
  ...common,
  type: z.literal('http'),
  path: z.string().startsWith('/', 'must begin with /'),
  methods: z.array(z.enum(METHODS)).min(1).optional(),
  auth: z.enum(['key', 'none', 'jwt']).optional(),
  cors: cors.optional(),
  idempotency: z.boolean().optional(),
});

const cronTrigger = z.strictObject({
  ...common,
  type: z.literal('cron'),
  schedule: z.string(),
  timezone: z.string().optional(),
  input: z.unknown().optional(),
  missedRuns: z.enum(['once', 'skip']).optional(),
});

const queueTrigger = z.strictObject({
  ...common,
  type: z.literal('queue'),
  queue: name.optional(),
  queueUrl: z.url('must be the URL of a queue').optional(),
  batchSize: count(1, 10_000).optional(),
  batchWindowMs: count(0, 300_000).optional(),
  maxConcurrency: count(1, 1000).optional(),
});

const trigger = z.discriminatedUnion('type', [httpTrigger, cronTrigger, queueTrigger], {
  error: 'must be http, cron or queue',
});
export type TriggerSpec = z.infer<typeof trigger>;

const runtime = z.string().refine((text) => canonicalRuntime(text) !== undefined, `is not a runtime; there are ${RUNTIMES.join(', ')}`);

const functionSpec = z.strictObject({
  runtime,
  /** Folder with the code, from the folder of fns.yaml on. */
  code: z.string().default('.'),
  /** A source that esbuild bundles into index.js (or .ts): then only the bundle is uploaded. */
  bundle: z.string().optional(),
  handler: z.string().optional(),
  description: z.string().max(DEFAULTS.descriptionChars).optional(),
  tags: z.record(z.string(), z.string()).optional(),
  memoryMb: count(DEFAULTS.memoryMbMin, DEFAULTS.memoryMbMax).optional(),
  timeoutSec: count(DEFAULTS.timeoutSecMin, DEFAULTS.timeoutSecMax).optional(),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is no name of a variable'), envValue).optional(),
  processModel: z.enum(['resident', 'one-shot']).optional(),
  network: z.enum(['internet', 'none']).optional(),
  priority: z.enum(PRIORITIES).optional(),
  retry: z
    .strictObject({
      maxRetries: count(0, DEFAULTS.maxRetriesMax).optional(),
      baseDelayMs: count(0, 3_600_000).optional(),
      maxAgeSec: count(1, 1_209_600).optional(),
    })
    .optional(),
  concurrency: z
    .strictObject({
      reserved: count(0, 100_000).optional(),
      max: count(1, 100_000).optional(),
      perSlot: count(1, DEFAULTS.perSlotMax).optional(),
    })
    .optional(),
  scaling: z.strictObject({ min: count(0, 1000).optional(), max: count(1, 100_000).optional() }).optional(),
  triggers: z.array(trigger).optional(),
});
export type FunctionSpec = z.infer<typeof functionSpec>;

export const projectSchema = z.strictObject({
  namespace: name.default('default'),
  functions: z
    .record(z.string().regex(NAME, 'is no name of a function: 1 to 64 letters, digits, - or _'), functionSpec)
    .refine((functions) => Object.keys(functions).length > 0, 'must name at least one function'),
});
export type ProjectSpec = z.infer<typeof projectSchema>;
