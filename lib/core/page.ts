import { invalidField } from './refusal.js';

/** Lists: `?limit=&cursor=` answered with `{items, nextCursor}`. */
export interface PageQuery {
  /** 1…1000. */
  limit: number;
  /** What the page before gave as nextCursor. */
  cursor?: string;
}
export interface Page<T> {
  items: T[];
  nextCursor?: string;
}

/** What a list gives as nextCursor: the sort key of its last item, opaque to callers. */
export function cursorOf(...key: (string | number)[]): string {
  const bytes = new TextEncoder().encode(JSON.stringify(key));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/**
 * The sort key in a cursor; undefined without one.
 * @param kinds what the key is made of, in order
 * @throws Refusal 422 where it is not one of ours
 */
export function cursorKey<Kinds extends readonly ('text' | 'number')[]>(
  cursor: string | undefined,
  kinds: Kinds,
): { [I in keyof Kinds]: Kinds[I] extends 'number' ? number : string } | undefined {
  if (cursor === undefined || cursor === '') return undefined;
  try {
    const bytes = Uint8Array.from(atob(cursor.replaceAll('-', '+').replaceAll('_', '/')), (sign) => sign.charCodeAt(0));
    const key = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown[];
    const fits =
      Array.isArray(key) &&
      key.length === kinds.length &&
      kinds.every((kind, i) => (kind === 'text' ? typeof key[i] === 'string' : Number.isSafeInteger(key[i])));
    if (fits) return key as never;
  } catch {
    // Not ours: told below.
  }
  throw invalidField('cursor', 'is not one that this list gave', 'the nextCursor of the page before');
}
