/** Calendar months and days in UTC, as billing counts them. A month is `2026-11`, an hour a whole number of hours since 1970. */

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export const hourOf = (epochMs: number): number => Math.floor(epochMs / HOUR_MS);
export const monthOf = (epochMs: number): string => new Date(epochMs).toISOString().slice(0, 7);

export const isMonth = (text: string): boolean => /^(?:19[7-9]\d|2\d{3})-(?:0[1-9]|1[0-2])$/.test(text);

/** First instant of the month, epoch ms. */
export const monthStart = (month: string): number => Date.parse(`${month}-01T00:00:00.000Z`);

export function nextMonth(month: string): string {
  const [year = 0, number = 0] = month.split('-').map(Number);
  return number === 12 ? `${year + 1}-01` : `${year}-${String(number + 1).padStart(2, '0')}`;
}

/** First instant after the month, epoch ms. */
export const monthEnd = (month: string): number => monthStart(nextMonth(month));

/** The window cut at month borders, for each month has its own prices and tiers. */
export function byMonth(fromMs: number, toMs: number): { month: string; fromMs: number; toMs: number }[] {
  const parts: { month: string; fromMs: number; toMs: number }[] = [];
  for (let at = fromMs; at < toMs; ) {
    const month = monthOf(at);
    const end = Math.min(toMs, monthEnd(month));
    parts.push({ month, fromMs: at, toMs: end });
    at = end;
  }
  return parts;
}
