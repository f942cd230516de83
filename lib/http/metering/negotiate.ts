import { Refusal } from '../../core/refusal.js';

export const INVOICE_TYPES = ['application/json', 'text/csv', 'application/pdf'] as const;
export type InvoiceType = (typeof INVOICE_TYPES)[number];

/** The form that the caller likes best (RFC 9110, 12.5.1): of equal ones the more exact range counts, then our own order. */
export function invoiceType(accept: string | undefined): InvoiceType {
  if (accept === undefined || accept.trim() === '') return 'application/json';
  const ranges = accept.split(',').map(rangeOf);
  const rated = INVOICE_TYPES.map((type) => ({ type, quality: qualityOf(type, ranges) }));
  const best = rated.reduce((a, b) => (b.quality > a.quality ? b : a));
  if (best.quality > 0) return best.type;
  throw new Refusal(406, 'FNS_406_NOT_ACCEPTABLE', `An invoice comes as one of ${INVOICE_TYPES.join(', ')}; none of them is in Accept.`);
}

interface Range {
  range: string;
  quality: number;
}

function rangeOf(text: string): Range {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const q = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = q === undefined ? 1 : Number(q.slice(2));
  return { range, quality: Number.isFinite(quality) ? Math.min(1, Math.max(0, quality)) : 0 };
}

/** The most exact range that covers the type decides. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  for (const range of [type, `${type.split('/')[0]}/*`, '*/*']) {
    const found = ranges.find((each) => each.range === range);
    if (found) return found.quality;
  }
  return 0;
}
