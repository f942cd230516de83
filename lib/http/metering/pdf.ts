import PDFDocument from 'pdfkit';
import type { Invoice, InvoiceLine } from '../../core/metering/invoice.js';
import { monthEnd, monthStart } from '../../core/metering/month.js';

/** A4 in points, and the grid that everything stands on. */
const LEFT = 48;
const RIGHT = 547;
const BOTTOM = 770;
const ROW = 15;
const COLUMNS = { description: LEFT, quantity: 300, unit: 306, unitPrice: 440, amount: RIGHT } as const;
const INK = '#1a1f2b';
const SOFT = '#667085';
const RULE = '#d0d5dd';

/**
 * The invoice on paper, in PDF's built-in Helvetica so that its text can be read by machines too. Nothing in it
 * comes from the clock: the same invoice gives the same bytes.
 */
export function invoicePdf(invoice: Invoice): Promise<Uint8Array> {
  const dated = new Date(invoice.closedAt ?? monthStart(invoice.month));
  const doc = new PDFDocument({
    size: 'A4',
    margins: { top: 48, bottom: 48, left: LEFT, right: 48 },
    bufferPages: true,
    info: { Title: `Invoice ${invoice.invoiceId}`, Author: 'FNS', Creator: 'FNS', Producer: 'FNS', CreationDate: dated, ModDate: dated },
  });
  const chunks: Uint8Array[] = [];
  const whole = new Promise<Uint8Array>((resolve, reject) => {
    doc.on('data', (chunk: Uint8Array) => chunks.push(chunk));
    doc.on('end', () => resolve(Buffer.concat(chunks)));
    doc.on('error', reject);
  });
  new Page(doc, invoice).draw();
  doc.end();
  return whole;
}

class Page {
  private y = 0;

  constructor(
    private readonly doc: PDFKit.PDFDocument,
    private readonly invoice: Invoice,
  ) {}

  draw(): void {
    this.head();
    this.lines('Requests', 'request');
    this.lines('Compute', 'GB-second');
    this.sums();
    this.footers();
  }

  private head(): void {
    const { invoice } = this;
    this.text('FNS', LEFT, 48, { bold: true, size: 22 });
    this.text('Serverless functions', LEFT, 74, { soft: true });
    this.text(invoice.status === 'open' ? 'Invoice, provisional' : 'Invoice', RIGHT, 48, { bold: true, size: 16, right: true });
    this.text(invoice.invoiceId, RIGHT, 70, { soft: true, right: true });
    this.rule(96);
    const facts: [string, string][] = [
      ['Billed to', invoice.tenantId],
      ['Period (UTC)', `${day(monthStart(invoice.month))} to ${day(monthEnd(invoice.month) - 1)}`],
      [
        invoice.status === 'open' ? 'Status' : 'Issued',
        invoice.closedAt === undefined ? 'open: the month is not closed yet' : day(invoice.closedAt),
      ],
      ['Usage', `${grouped(String(invoice.usage.requests))} requests, ${grouped(invoice.usage.gbSec)} GB-s`],
    ];
    facts.forEach(([label, value], i) => {
      this.text(label, LEFT, 108 + i * ROW, { soft: true });
      this.text(value, LEFT + 90, 108 + i * ROW);
    });
    this.text('Amount due', RIGHT, 108, { soft: true, right: true });
    this.text(`${invoice.currency} ${invoice.total}`, RIGHT, 122, { bold: true, size: 18, right: true });
    this.y = 188;
  }

  private columns(title: string): void {
    this.text(title, COLUMNS.description, this.y, { bold: true });
    this.text('Quantity', COLUMNS.quantity, this.y, { soft: true, right: true });
    this.text('Unit price', COLUMNS.unitPrice, this.y, { soft: true, right: true });
    this.text(`Amount, ${this.invoice.currency}`, COLUMNS.amount, this.y, { soft: true, right: true });
    this.rule(this.y + 13);
    this.y += 19;
  }

  private lines(title: string, unit: InvoiceLine['unit']): void {
    const lines = this.invoice.lines.filter((line) => line.unit === unit);
    this.room(3 * ROW);
    this.columns(title);
    if (lines.length === 0) {
      this.text('None in this month.', LEFT, this.y, { soft: true });
      this.y += ROW;
    }
    for (const line of lines) {
      if (this.room(ROW)) this.columns(`${title}, continued`);
      this.line(line);
    }
    this.y += 14;
  }

  private line(line: InvoiceLine): void {
    // The table's own heading says what it counts.
    this.text(fitted(this.doc, line.description.replace(/^(Requests|Compute): /, ''), 180), COLUMNS.description, this.y);
    this.text(grouped(line.quantity), COLUMNS.quantity, this.y, { right: true });
    this.text(line.unit, COLUMNS.unit, this.y, { soft: true });
    this.text(line.unitPrice, COLUMNS.unitPrice, this.y, { right: true });
    this.text(grouped(shortened(line.amount)), COLUMNS.amount, this.y, { right: true });
    this.y += ROW;
  }

  private sums(): void {
    const { invoice } = this;
    this.room(5 * ROW);
    this.rule(this.y);
    this.y += 8;
    this.text('Sum of the lines', 340, this.y, { soft: true });
    this.text(grouped(shortened(invoice.exactTotal)), RIGHT, this.y, { right: true });
    this.y += ROW + 4;
    this.text(`Total, ${invoice.currency}`, 340, this.y, { bold: true, size: 12 });
    this.text(invoice.total, RIGHT, this.y, { bold: true, size: 12, right: true });
    this.y += ROW + 12;
    this.text('Lines are exact; only the total is rounded. The CSV and JSON forms of this invoice show every digit.', LEFT, this.y, {
      soft: true,
    });
    this.y += ROW;
  }

  private footers(): void {
    const { start, count } = this.doc.bufferedPageRange();
    for (let page = start; page < start + count; page += 1) {
      this.doc.switchToPage(page);
      this.text(`${this.invoice.invoiceId}, page ${page + 1} of ${count}`, LEFT, 800, { soft: true, size: 8 });
    }
  }

  /** Begins a new page where fewer than `height` points are left; whether it did. */
  private room(height: number): boolean {
    if (this.y + height <= BOTTOM) return false;
    this.doc.addPage();
    this.y = 56;
    return true;
  }

  private rule(y: number): void {
    this.doc.moveTo(LEFT, y).lineTo(RIGHT, y).lineWidth(0.7).strokeColor(RULE).stroke();
  }

  /** One line of text; `right`: it ends at x. */
  private text(text: string, x: number, y: number, style: { bold?: boolean; soft?: boolean; right?: boolean; size?: number } = {}): void {
    this.doc
      .font(style.bold ? 'Helvetica-Bold' : 'Helvetica')
      .fontSize(style.size ?? 9)
      .fillColor(style.soft ? SOFT : INK);
    const at = style.right ? x - this.doc.widthOfString(text) : x;
    // No line may break, and none may start a page: what is below the margin belongs there.
    this.doc.page.margins.bottom = 0;
    this.doc.text(text, at, y, { lineBreak: false, kerning: false } as PDFKit.Mixins.TextOptions);
  }
}

const day = (epochMs: number): string => new Date(epochMs).toISOString().slice(0, 10);

/** 1234567.891 -> 1,234,567.891 */
function grouped(decimal: string): string {
  const [whole = '', fraction] = decimal.split('.');
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? spaced : `${spaced}.${fraction}`;
}

/** Paper shows ten digits after the point at most, cut, never rounded up; `…` says that there are more. */
const shortened = (decimal: string): string => decimal.replace(/(\.\d{10})\d+$/, '$1…');

/** Cut to the width of its column. */
function fitted(doc: PDFKit.PDFDocument, text: string, width: number): string {
  doc.font('Helvetica').fontSize(9);
  let end = text.length;
  while (end > 1 && doc.widthOfString(end < text.length ? `${text.slice(0, end)}…` : text) > width) end -= 1;
  return end < text.length ? `${text.slice(0, end)}…` : text;
}
