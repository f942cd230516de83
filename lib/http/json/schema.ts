import { z } from '@hono/zod-openapi';
import { PRIORITIES } from '../../core/functions/model.js';
import { QUALIFIER } from './envelope.js';

/**
 * The body of `POST /functions/{id}/invoke`, for the OpenAPI document. The data path reads it by `sliceEnvelope`, which takes and
 * refuses the same (test/unit/json/envelope.spec.ts), except that it refuses a field given twice, which no parsed value can show.
 */
export const invokeBody = z
  .strictObject({
    payload: z.unknown().optional().openapi({ description: 'Any JSON value; its bytes reach the handler unchanged. Default: null.' }),
    qualifier: z
      .string()
      .regex(QUALIFIER)
      .optional()
      .openapi({ description: '$LATEST (default), a version number or an alias.', example: '$LATEST' }),
    priority: z.enum(PRIORITIES).optional().openapi({ description: "Default: the function's own." }),
  })
  .openapi('InvokeBody');
