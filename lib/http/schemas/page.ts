import { z } from '@hono/zod-openapi';
import { strict, wholeText } from './fields.js';

export const PAGE_LIMIT = 100;
export const PAGE_LIMIT_MAX = 1000;

/** For a list's own query: `strict({ ...pageFields, name: … })`. */
export const pageFields = {
  limit: wholeText(1, PAGE_LIMIT_MAX).default(PAGE_LIMIT),
  cursor: z.string().max(2048).optional().openapi({ description: 'What the page before gave as nextCursor.' }),
};

export const pageQuery = strict(pageFields);

/** `{items, nextCursor}` */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().optional().openapi({ description: 'Absent on the last page.' }) });
