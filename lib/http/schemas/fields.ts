import { z } from '@hono/zod-openapi';

/** What a message of ours says is allowed: zod's issues carry a message only. Filled when schemas are made, so it is bounded. */
const allowedByMessage = new Map<string, string>();
export const allowedOf = (message: string): string | undefined => allowedByMessage.get(message);

function telling(message: string, allowed: string): string {
  allowedByMessage.set(message, allowed);
  return message;
}

/** An object that refuses unknown fields by name, and says which are known. */
export function strict<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const known = Object.keys(shape).join(', ');
  const unknown = telling(`is not known here: ${known}`, known || 'nothing');
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? unknown : undefined) });
}

export function whole(min: number, max: number): z.ZodNumber {
  const message = telling(`must be a whole number from ${min} to ${max}`, `${min}…${max}`);
  return z.int({ error: message }).min(min, message).max(max, message);
}

/** A whole number in a query string. */
export function wholeText(min: number, max: number) {
  const message = telling(`must be a whole number from ${min} to ${max}`, `${min}…${max}`);
  const digits = String(max).length;
  return z
    .string()
    .refine((text) => new RegExp(`^\\d{1,${digits}}$`).test(text) && Number(text) >= min && Number(text) <= max, message)
    .transform(Number)
    .openapi({ type: 'integer', minimum: min, maximum: max });
}

/** The shape of names: functions, namespaces, queues. */
export const name = z
  .string()
  .regex(/^[a-zA-Z0-9-_]{1,64}$/, telling('must be 1 to 64 letters, digits, - or _', '[a-zA-Z0-9-_]{1,64}'))
  .openapi({ example: 'hello' });

const RFC_3339 = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;
const timeMessage = telling('must be a time', 'RFC 3339, as 2026-01-31T12:00:00Z, or a day, as 2026-01-31');

/** RFC 3339 (or a day, its midnight UTC) as epoch milliseconds. */
export const time = z
  .string()
  .refine((text) => RFC_3339.test(text) && !Number.isNaN(Date.parse(text)), timeMessage)
  .transform((text) => Date.parse(text))
  .openapi({ type: 'string', format: 'date-time', example: '2026-01-31T12:00:00Z' });

/** A time in answers. */
export const timeText = z.string().openapi({ format: 'date-time', example: '2026-01-31T12:00:00.000Z' });

/** An exact decimal number in answers. */
export const decimalText = z.string().openapi({ example: '0.00125', description: 'An exact decimal number.' });

export const textMap = (maxEntries: number, maxValue: number) =>
  z
    .record(z.string().min(1).max(256), z.string().max(maxValue))
    .refine(
      (map) => Object.keys(map).length <= maxEntries,
      telling(`must have at most ${maxEntries} entries`, `at most ${maxEntries} entries`),
    );
