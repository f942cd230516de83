import { z } from '@hono/zod-openapi';
import { PRIORITIES } from '../../core/functions/model.js';
import { STATES } from '../../core/invocations/model.js';
import { decimalText, timeText } from './fields.js';

export const errorInfo = z.object({ type: z.string(), message: z.string(), stack: z.array(z.string()).optional() });

const attempt = z.object({
  attempt: z.int(),
  version: z.string(),
  memoryMb: z.int(),
  startedAt: timeText,
  durationMs: z.number().openapi({ description: 'Handler time by the invoker’s clock.' }),
  billedMs: z.int(),
  coldStart: z.boolean(),
  outcome: z.enum(['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'LOST']),
  fault: z.enum(['tenant', 'platform']).nullable(),
  error: errorInfo.optional(),
});

export const invocationSchema = z
  .object({
    requestId: z.string(),
    functionId: z.string(),
    version: z.string().nullable().openapi({ description: 'Of the last attempt; null before the first.' }),
    qualifier: z.string(),
    mode: z.enum(['sync', 'async']),
    state: z.enum(STATES),
    priority: z.enum(PRIORITIES),
    acceptedAt: timeText,
    completedAt: timeText.optional(),
    attempts: z.array(attempt),
    source: z
      .object({ type: z.string(), triggerId: z.string().optional(), queue: z.string().optional(), messageId: z.string().optional() })
      .optional(),
    result: z.unknown().optional(),
    error: errorInfo.optional(),
    billedMs: z.int(),
    gbSec: decimalText,
    replays: z.int(),
    deadReason: z.string().optional(),
    deadAt: timeText.optional(),
  })
  .openapi('Invocation');

export const deadLetterSchema = z
  .object({
    requestId: z.string(),
    reason: z.string(),
    attempts: z.int().openapi({ description: 'How many there were.' }),
    lastError: errorInfo.optional(),
    acceptedAt: timeText,
    deadAt: timeText,
    replays: z.int(),
  })
  .openapi('DeadLetter');

export const replaySchema = z
  .object({
    replayId: z.string(),
    matched: z.int(),
    replayed: z.int(),
    healed: z.int(),
    failed: z.int().openapi({ description: 'Dead again.' }),
    done: z.boolean(),
  })
  .openapi('Replay');

export const syncAnswerSchema = z
  .object({
    requestId: z.string(),
    status: z.enum(['SUCCEEDED', 'FAILED', 'TIMED_OUT']),
    result: z.unknown().optional(),
    error: errorInfo.optional(),
    durationMs: z.number(),
    billedMs: z.int(),
    coldStart: z.boolean(),
    version: z.string(),
  })
  .openapi('SyncAnswer');
