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
