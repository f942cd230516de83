import { z } from '@hono/zod-openapi';
import { DEFAULTS } from '../../core/defaults.js';
import { PRIORITIES, RUNTIMES } from '../../core/functions/model.js';
import { name, strict, textMap, timeText, whole } from './fields.js';

const runtime = z
  .string()
  .min(1)
  .max(60)
  .openapi({
    example: 'nodejs20',
    description: `One of ${RUNTIMES.join(', ')}; AWS spellings such as nodejs20.x are synonyms. Which ones this machine has: /readyz.`,
  });

const handler = z.string().min(1).max(256).openapi({ example: 'index.handler' });
const retry = { maxRetries: whole(0, DEFAULTS.maxRetriesMax), baseDelayMs: whole(0, 3_600_000), maxAgeSec: whole(1, 1_209_600) };
const concurrency = { reserved: whole(0, 100_000), max: whole(1, 100_000), perSlot: whole(1, DEFAULTS.perSlotMax) };
const scaling = { min: whole(0, 1000), max: whole(1, 100_000) };

const settings = {
  handler: handler.optional(),
  description: z.string().max(DEFAULTS.descriptionChars).optional(),
  tags: textMap(DEFAULTS.tags, 256).optional(),
  memoryMb: whole(DEFAULTS.memoryMbMin, DEFAULTS.memoryMbMax).optional().openapi({ example: 128 }),
  timeoutSec: whole(DEFAULTS.timeoutSecMin, DEFAULTS.timeoutSecMax).optional().openapi({ example: 3 }),
  env: z.record(z.string().min(1).max(256), z.string()).optional().openapi({ description: 'Replaced as a whole; encrypted at rest.' }),
  layers: z.array(z.string().max(200)).max(5).optional(),
  processModel: z.enum(['resident', 'one-shot']).optional().openapi({ description: 'one-shot: a fresh process for each call.' }),
  network: z.enum(['internet', 'none']).optional(),
  concurrency: strict({
    reserved: concurrency.reserved.optional(),
    max: concurrency.max.optional(),
    perSlot: concurrency.perSlot.optional(),
  }).optional(),
  retry: strict({
    maxRetries: retry.maxRetries.optional(),
    baseDelayMs: retry.baseDelayMs.optional(),
    maxAgeSec: retry.maxAgeSec.optional(),
  }).optional(),
  scaling: strict({ min: scaling.min.optional(), max: scaling.max.optional() }).optional(),
  priority: z.enum(PRIORITIES).optional(),
};

/** `{"files":{path:text}}` or `{"imageUri":…}`: exactly one of them. */
export const codeJson = strict({
  files: z
    .record(z.string(), z.string())
    .optional()
    .openapi({ example: { 'index.js': 'exports.handler = async (event) => event;' } }),
  imageUri: z.string().min(1).max(1000).optional(),
})
  .refine(({ files, imageUri }) => (files === undefined) !== (imageUri === undefined), 'must have either files or imageUri')
  .openapi('Code');

export const functionCreate = strict({ name, namespace: name.optional(), runtime, ...settings, code: codeJson.optional() }).openapi(
  'NewFunction',
);
export const functionPut = strict({ runtime, ...settings, code: codeJson.optional() }).openapi('FunctionByName');
export const functionPatch = strict({ runtime: runtime.optional(), ...settings }).openapi('FunctionChange');

const frozen = {
  runtime: z.enum(RUNTIMES),
  handler: z.string(),
  memoryMb: z.int(),
  timeoutSec: z.int(),
  env: z.record(z.string(), z.string()),
  layers: z.array(z.string()),
  processModel: z.enum(['resident', 'one-shot']),
  network: z.enum(['internet', 'none']),
  concurrency: z.object({ reserved: z.int().optional(), max: z.int().optional(), perSlot: z.int() }),
};

export const functionSchema = z
  .object({
    functionId: z.string().openapi({ example: 'fn_0123456789abcdefghjk' }),
    name: z.string(),
    namespace: z.string(),
    description: z.string(),
    tags: z.record(z.string(), z.string()),
    ...frozen,
    retry: z.object({ maxRetries: z.int(), baseDelayMs: z.int(), maxAgeSec: z.int() }),
    scaling: z.object({ min: z.int(), max: z.int().optional() }),
    priority: z.enum(PRIORITIES),
    state: z.enum(['ENABLED', 'DISABLED']),
    status: z.enum(['PENDING', 'ACTIVE', 'FAILED']),
    statusReason: z.string().optional(),
    version: z.literal('$LATEST'),
    lastVersion: z.int().openapi({ description: 'Number of the last published version, 0 before the first.' }),
    codeSha256: z.string().nullable().openapi({ description: 'null: no code was put yet.' }),
    codeSizeBytes: z.int(),
    createdAt: timeText,
    updatedAt: timeText,
    warnings: z.array(z.string()).optional().openapi({ description: 'What works differently on this machine.' }),
  })
  .openapi('Function');

export const versionSchema = z
  .object({
    functionId: z.string(),
    version: z.int(),
    description: z.string(),
    ...frozen,
    codeSha256: z.string(),
    codeSizeBytes: z.int(),
    createdAt: timeText,
  })
  .openapi('Version');
