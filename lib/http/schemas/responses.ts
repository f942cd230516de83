import { z } from '@hono/zod-openapi';

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().openapi({ example: 'FNS_422_INVALID', description: 'Callers may rely on it.' }),
    requestId: z.string(),
    errors: z.array(z.object({ field: z.string(), message: z.string(), allowed: z.string().optional() })).optional(),
  })
  .openapi('Problem');

/** A JSON answer. */
export const json = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});

/** A required JSON body. */
export const jsonBody = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true as const,
  content: { 'application/json': { schema } },
});

/** Every route can be refused; handlers throw Refusal and never build this answer themselves. */
export const refused = {
  default: {
    description: 'Refused, or the platform is at fault (RFC 9457).',
    content: { 'application/problem+json': { schema: problemSchema } },
  },
};
