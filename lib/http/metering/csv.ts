import { stringify } from 'csv-stringify/sync';
import type { Invoice } from '../../core/metering/invoice.js';

const HEADER = [
  'invoiceId',
  'tenantId',
  'month',
  'status',
  'description',
  'functionId',
  'quantity',
  'unit',
  'unitPrice',
  'amount',
  'currency',
];

/** RFC 4180: one row a line of the invoice, then the month's whole usage, the exact sum and what is to be paid. Exact decimals throughout. */
export function invoiceCsv(invoice: Invoice): string {
  const { invoiceId, tenantId, month, status, currency, usage } = invoice;
  const row = (description: string, functionId: string, quantity: string, unit: string, unitPrice: string, amount: string) => [
    invoiceId,
    tenantId,
    month,
    status,
    description,
    functionId,
    quantity,
    unit,
    unitPrice,
    amount,
    amount && currency,
  ];
  const rows = [
    ...invoice.lines.map((line) => row(line.description, line.functionId ?? '', line.quantity, line.unit, line.unitPrice, line.amount)),
    row('Usage of the month: requests', '', String(usage.requests), 'request', '', ''),
    row('Usage of the month: billed time', '', String(usage.billedMs), 'ms', '', ''),
    row('Usage of the month: compute', '', usage.gbSec, 'GB-second', '', ''),
    row('Sum of the lines', '', '', '', '', invoice.exactTotal),
    row('Total', '', '', '', '', invoice.total),
  ];
  // A spreadsheet runs what begins with a sign of a formula; ours begin with letters or digits, and negative numbers are numbers.
  return stringify([HEADER, ...rows], { record_delimiter: '\r\n' });
}
