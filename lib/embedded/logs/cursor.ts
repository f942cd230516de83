/** A page's end as callers carry it: the order and the number of the last line given. */
export const encodeCursor = (seq: number, order: 'asc' | 'desc'): string => Buffer.from(`${order[0]}${seq}`).toString('base64url');

/** Undefined for one of other making, or of the other order. */
export function decodeCursor(cursor: string, order: 'asc' | 'desc'): number | undefined {
  const found = /^([ad])(\d{1,16})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  return found && found[1] === order[0] ? Number(found[2]) : undefined;
}
