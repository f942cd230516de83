import { inflateSync } from 'node:zlib';
import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import { type FunctionSum, type Invoice, makeInvoice } from '../../../lib/core/metering/invoice.js';
import { DEFAULT_PRICE_PLAN } from '../../../lib/core/metering/price-plan.js';
import { Refusal } from '../../../lib/core/refusal.js';
import { invoiceCsv } from '../../../lib/http/metering/csv.js';
import { invoiceType } from '../../../lib/http/metering/negotiate.js';
import { invoicePdf } from '../../../lib/http/metering/pdf.js';

const used = (count: number): FunctionSum[] =>
  Array.from({ length: count }, (_, i) => ({
    functionId: asFunctionId(`fn_${String(i).padStart(20, '0')}`),
    name: i === 1 ? 'a-function-whose-name-is-as-long-as-a-name-may-be-which-is-64-cha' : `function-${i}`,
    requests: 1_234_567 * (i + 1),
    billedMs: 98_765_432,
    mbMs: 98_765_432n * 192n * BigInt(i + 1),
  }));

const invoiceOf = (functions: number, more: { closedAt?: number } = { closedAt: Date.parse('2026-11-01T01:00:00Z') }): Invoice =>
  makeInvoice({
    tenantId: asTenantId('acme'),
    month: '2026-10',
    plan: DEFAULT_PRICE_PLAN,
    used: used(functions),
    adjusted: used(1).map((sum) => ({ ...sum, requests: -2, mbMs: -5_000_000n })),
    ...more,
  });

/** What a plain reader finds in a PDF: its streams inflated, its hexadecimal strings joined, a line feed where the position is set anew. */
function textOf(pdf: Uint8Array): string {
  const bytes = Buffer.from(pdf);
  let text = '';
  for (const found of bytes.toString('latin1').matchAll(/stream\r?\n/g)) {
    const begin = found.index + found[0].length;
    let stream: Buffer;
    try {
      stream = inflateSync(bytes.subarray(begin, bytes.indexOf('endstream', begin)), { finishFlush: 2 });
    } catch {
      continue;
    }
    for (const [, hex] of stream.toString('latin1').matchAll(/<([0-9a-f]+)>|\bT[dm]\b/g))
      text += hex ? Buffer.from(hex, 'hex').toString('latin1') : '\n';
  }
  return text;
}

describe('an invoice as CSV', () => {
  it('has one row a line, the whole usage and the total, in exact decimals', () => {
    const invoice = invoiceOf(2);
    const rows = invoiceCsv(invoice).trim().split('\r\n');
    expect(rows[0]).toBe('invoiceId,tenantId,month,status,description,functionId,quantity,unit,unitPrice,amount,currency');
    expect(rows).toHaveLength(1 + invoice.lines.length + 5);
    expect(rows.at(-1)).toBe(`inv-2026-10-acme,acme,2026-10,closed,Total,,,,,${invoice.total},USD`);
    expect(rows.some((row) => row.includes(`,${invoice.usage.gbSec},GB-second,`))).toBe(true);
  });
});

describe('an invoice as PDF', () => {
  it('is a whole PDF whose text shows tenant, lines, allowances and total', async () => {
    const invoice = invoiceOf(3);
    const pdf = Buffer.from(await invoicePdf(invoice));
    expect(pdf.subarray(0, 5).toString('latin1')).toBe('%PDF-');
    expect(pdf.subarray(-8).toString('latin1')).toMatch(/%%EOF\s*$/);
    const text = textOf(pdf);
    for (const part of [
      'Invoice',
      'inv-2026-10-acme',
      '2026-10-01 to 2026-10-31',
      'function-0',
      'Free allowance: compute',
      `USD ${invoice.total}`,
      'page 1 of 1',
    ])
      expect(text).toContain(part);
  });

  it('is the same to the last byte each time', async () => {
    const [one, two] = [await invoicePdf(invoiceOf(3)), await invoicePdf(invoiceOf(3))];
    expect(Buffer.compare(Buffer.from(one), Buffer.from(two))).toBe(0);
  });

  it('goes on over as many pages as its lines need', async () => {
    const text = textOf(await invoicePdf(invoiceOf(120)));
    expect(text).toContain('Requests, continued');
    expect(text).toContain('page 6 of 6');
    for (const i of [0, 60, 119]) expect(text).toContain(`function-${i}`);
  });

  it('says that a month which is not over is provisional', async () => {
    expect(textOf(await invoicePdf(invoiceOf(0, {})))).toContain('Invoice, provisional');
  });
});

describe('the form of an invoice', () => {
  it.each([
    [undefined, 'application/json'],
    ['', 'application/json'],
    ['*/*', 'application/json'],
    ['text/csv', 'text/csv'],
    ['application/pdf', 'application/pdf'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'application/json'],
    ['application/json;q=0.1, application/pdf;q=0.9', 'application/pdf'],
    ['text/*, application/json;q=0.5', 'text/csv'],
    ['application/*;q=0.2, text/csv;q=0.1', 'application/json'],
  ])('for Accept %p is %s', (accept, type) => expect(invoiceType(accept)).toBe(type));

  it('is refused with 406 where none is acceptable', () => {
    expect(() => invoiceType('image/png')).toThrow(Refusal);
    expect(() => invoiceType('*/*;q=0')).toThrow(/FNS_406|none of them/);
  });
});
