import { createRoute, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { rfc3339 } from '../core/clock.js';
import type { Invoice } from '../core/metering/invoice.js';
import { type Adjustment, DRIFTS } from '../core/metering/model.js';
import { DAY_MS } from '../core/metering/month.js';
import { gbSecOf } from '../core/metering/quantity.js';
import type { UpkeepReport } from '../core/metering/upkeep.js';
import { GROUPINGS, type UsageReport } from '../core/metering/usage.js';
import { type Action, may } from '../core/tenancy/model.js';
import { type Api, type ApiEnv, needs, requires } from './api.js';
import { invoiceCsv } from './metering/csv.js';
import { type INVOICE_TYPES, invoiceType } from './metering/negotiate.js';
import { invoicePdf } from './metering/pdf.js';
import { decimalText, strict, time, timeText, whole } from './schemas/fields.js';
import { pageOf, pageQuery } from './schemas/page.js';
import { json, jsonBody, refused } from './schemas/responses.js';
import type { Services } from './services.js';

/** Bills are read by those who run functions and by those who pay for them. */
const readsBills: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const actions: Action[] = ['read', 'bill'];
  if (!actions.some((action) => may(c.get('principal'), action))) requires(c, 'bill');
  await next();
};

const quantities = {
  requests: z.int().openapi({ description: 'Invocations, whatever the number of their attempts.' }),
  billedMs: z.int(),
  gbSec: decimalText,
};
const amount = decimalText.openapi({ description: 'Exact, before free allowances.' });
const usageItem = z.object({
  key: z.string().openapi({ description: 'Function id, day, or `<function id>:<version>`.' }),
  ...{ functionId: z.string().optional(), version: z.string().optional(), day: z.string().optional() },
  ...quantities,
  amount,
});
const usageSchema = z
  .object({
    ...{ from: timeText, to: timeText, groupBy: z.enum(GROUPINGS), currency: z.string(), items: z.array(usageItem) },
    total: z.object({ ...quantities, amount }),
  })
  .openapi('Usage');
const lineSchema = z.object({
  ...{ description: z.string(), functionId: z.string().optional(), quantity: decimalText },
  ...{ unit: z.enum(['request', 'GB-second']), unitPrice: decimalText, amount: decimalText },
});
const invoiceSchema = z
  .object({
    ...{ invoiceId: z.string(), tenantId: z.string(), month: z.string().openapi({ example: '2026-11' }), currency: z.string() },
    status: z.enum(['open', 'closed']).openapi({ description: 'A closed month never changes.' }),
    closedAt: timeText.optional(),
    usage: z.object(quantities),
    pricePlan: z.string().openapi({ description: 'First month of the price plan that was applied.' }),
    lines: z.array(lineSchema),
    exactTotal: decimalText,
    total: decimalText.openapi({ description: 'Rounded once, to the smallest coin of the currency.' }),
  })
  .openapi('Invoice');
const summarySchema = invoiceSchema.omit({ lines: true }).openapi('InvoiceSummary');
const adjustmentSchema = z
  .object({
    ...{ adjustmentId: z.string(), requestId: z.string(), attempt: z.int(), functionId: z.string(), version: z.string() },
    ...{ reason: z.enum(DRIFTS), at: timeText, ...quantities },
  })
  .openapi('Adjustment');

const tier = strict({ upTo: z.string().max(40).optional(), price: z.string().max(40) });
const rate = strict({ per: whole(1, 1_000_000_000), tiers: z.array(tier).max(20), freePerMonth: z.string().max(40) });
const planFields = { currency: z.string().max(3), requests: rate, gbSeconds: rate };
const planBody = strict({ ...planFields, effectiveFrom: z.string().max(7).optional() });
const planSchema = z.object({ ...planFields, effectiveFrom: z.string() }).openapi('PricePlan');

const tags = ['billing'];

const getUsage = createRoute({
  method: 'get',
  path: '/usage',
  tags,
  summary: 'What was used, by function, day or version',
  description: 'The running month (UTC) unless from and to say otherwise: days or whole hours, `to` not included.',
  middleware: [readsBills] as const,
  request: {
    query: strict({
      from: z.string().max(40).optional().openapi({ example: '2026-11-01' }),
      to: z.string().max(40).optional().openapi({ example: '2026-12-01' }),
      groupBy: z
        .string()
        .max(40)
        .optional()
        .openapi({ enum: [...GROUPINGS], default: 'function' }),
    }),
  },
  responses: { 200: json(usageSchema, 'Items and their exact sum.'), ...refused },
});

const listInvoices = createRoute({
  method: 'get',
  path: '/invoices',
  tags,
  summary: 'Months with usage, newest first; the running one is open',
  middleware: [readsBills] as const,
  request: { query: pageQuery },
  responses: { 200: json(pageOf(summarySchema), 'Invoices without their lines.'), ...refused },
});

const monthParam = z.object({ month: z.string().max(40).openapi({ example: '2026-11' }) });

const getInvoice = createRoute({
  method: 'get',
  path: '/invoices/{month}',
  tags,
  summary: 'A month’s invoice, as JSON, CSV or PDF by Accept',
  middleware: [readsBills] as const,
  request: { params: monthParam },
  responses: {
    200: {
      description: 'The invoice.',
      content: {
        'application/json': { schema: invoiceSchema },
        'text/csv': { schema: z.string() },
        'application/pdf': { schema: z.string().openapi({ format: 'binary' }) },
      },
    },
    ...refused,
  },
});

const listAdjustments = createRoute({
  method: 'get',
  path: '/invoices/{month}/adjustments',
  tags,
  summary: 'Corrections by reconciliation that count in a month',
  middleware: [readsBills] as const,
  request: { params: monthParam },
  responses: { 200: json(z.object({ items: z.array(adjustmentSchema) }), 'All of them, oldest first.'), ...refused },
});

const verifyInvoice = createRoute({
  method: 'get',
  path: '/invoices/{month}/verification',
  tags,
  summary: 'Make a closed month again from the ledger and compare',
  middleware: [readsBills] as const,
  request: { params: monthParam },
  responses: {
    200: json(z.object({ month: z.string(), ledger: z.enum(['same', 'differs', 'notClosed']) }), 'What came of it.'),
    ...refused,
  },
});

const getPlan = createRoute({
  method: 'get',
  path: '/price-plan',
  tags,
  summary: 'Prices of this month, and those that will follow',
  responses: { 200: json(planSchema.extend({ upcoming: z.array(planSchema) }), 'The plan.'), ...refused },
});

const putPlan = createRoute({
  method: 'put',
  path: '/price-plan',
  tags,
  summary: 'Set prices from a month on',
  description: 'Platform admin only. A month that is over keeps its prices. Prices and quantities are decimal texts.',
  middleware: [needs('admin')] as const,
  request: { body: jsonBody(planBody) },
  responses: { 200: json(planSchema, 'As stored.'), ...refused },
});

const reportSchema = z
  .object({
    ...{ from: timeText, to: timeText, metered: z.int(), billed: z.int() },
    billingDrift: z.number().openapi({ description: '|metered - billed| / metered, before correction.' }),
    findings: z.array(
      z.object({ drift: z.enum(DRIFTS), requestId: z.string(), attempt: z.int(), tenantId: z.string(), functionId: z.string() }),
    ),
    ...{ adjusted: z.int(), unrecorded: z.int(), free: z.int(), pending: z.int(), unwitnessed: z.int() },
    rollups: z.object({ hours: z.int(), mended: z.int() }),
  })
  .openapi('Reconciliation');

const reconcile = createRoute({
  method: 'post',
  path: '/reconciliation',
  tags,
  summary: 'Join ledger and meter now',
  description: 'Platform admin only. Without a window: what has settled since the last run. It runs by itself each minute.',
  middleware: [needs('admin')] as const,
  request: { body: jsonBody(strict({ from: time.optional(), to: time.optional() })) },
  responses: { 200: json(reportSchema, 'What was found and adjusted.'), ...refused },
});

const lastRun = createRoute({
  method: 'get',
  path: '/reconciliation',
  tags,
  summary: 'The last reconciliation',
  middleware: [needs('admin')] as const,
  responses: {
    200: json(
      z.object({ last: reportSchema.nullable(), billingDrift: z.number() }),
      'The last run; `last` is null before the first one has ended.',
    ),
    ...refused,
  },
});

export function meteringRoutes(app: Api, services: Services): void {
  const { metering } = services;
  app.openapi(getUsage, async (c) => c.json(shownUsage(await metering.usage(c.get('principal').tenantId, c.req.valid('query'))), 200));
  app.openapi(listInvoices, async (c) => {
    const page = await metering.invoices(c.get('principal').tenantId, c.req.valid('query'));
    return c.json({ items: page.items.map(({ lines: _, ...summary }) => dated(summary)), nextCursor: page.nextCursor }, 200);
  });
  app.openapi(getInvoice, async (c) => {
    const type = invoiceType(c.req.header('accept'));
    const invoice = await metering.invoice(c.get('principal').tenantId, c.req.valid('param').month);
    if (type === 'application/json') return c.json(dated(invoice), 200, { vary: 'accept' });
    // Only the JSON form has a schema of its own in the route's type.
    return (await file(c, invoice, type)) as never;
  });
  app.openapi(listAdjustments, async (c) => {
    const items = await metering.adjustments(c.get('principal').tenantId, c.req.valid('param').month);
    return c.json({ items: items.map(shownAdjustment) }, 200);
  });
  app.openapi(verifyInvoice, async (c) => {
    const { month } = c.req.valid('param');
    const { tenantId } = c.get('principal');
    await metering.invoice(tenantId, month);
    return c.json({ month, ledger: await metering.verify(tenantId, month) }, 200);
  });
  planRoutes(app, services);
  reconciliationRoutes(app, services);
}

function planRoutes(app: Api, { metering }: Services): void {
  app.openapi(getPlan, async (c) => {
    const { current, upcoming } = await metering.pricePlan();
    return c.json({ ...current, upcoming }, 200);
  });
  app.openapi(putPlan, async (c) => c.json(await metering.putPricePlan(c.get('principal'), c.req.valid('json')), 200));
}

function reconciliationRoutes(app: Api, { metering, clock }: Services): void {
  app.openapi(reconcile, async (c) => {
    const { from, to } = c.req.valid('json');
    const window =
      from === undefined && to === undefined ? undefined : { fromMs: from ?? (to ?? clock.now()) - DAY_MS, toMs: to ?? clock.now() };
    return c.json(shownReport(await metering.reconcile(window)), 200);
  });
  app.openapi(lastRun, (c) => {
    const last = metering.lastRun();
    return c.json({ last: last ? shownReport(last) : null, billingDrift: metering.billingDrift() }, 200);
  });
}

/** A file that a browser saves under a name of its own. */
async function file(
  c: Context<ApiEnv>,
  invoice: Invoice,
  type: Exclude<(typeof INVOICE_TYPES)[number], 'application/json'>,
): Promise<Response> {
  const [bytes, ending] =
    type === 'text/csv' ? [invoiceCsv(invoice), 'csv'] : [(await invoicePdf(invoice)) as Uint8Array<ArrayBuffer>, 'pdf'];
  const contentType = type === 'text/csv' ? 'text/csv; charset=utf-8; header=present' : type;
  return c.body(bytes, 200, {
    'content-type': contentType,
    'content-disposition': `inline; filename="${invoice.invoiceId}.${ending}"`,
    vary: 'accept',
  });
}

const shownUsage = (report: UsageReport) => ({ ...report, from: rfc3339(report.from), to: rfc3339(report.to) });

const dated = <I extends { closedAt?: number }>(invoice: I) => ({
  ...invoice,
  closedAt: invoice.closedAt === undefined ? undefined : rfc3339(invoice.closedAt),
});

const shownAdjustment = ({ mbMs, at, tenantId: _, ...rest }: Adjustment) => ({ ...rest, at: rfc3339(at), gbSec: gbSecOf(mbMs) });

function shownReport({ reconciliation: r, rollups, drift }: UpkeepReport) {
  return {
    ...{ from: rfc3339(r.fromMs), to: rfc3339(r.toMs), metered: r.metered, billed: r.billed, billingDrift: drift },
    findings: r.findings.map(({ drift: kind, requestId, attempt, tenantId, functionId }) => ({
      drift: kind,
      requestId,
      attempt,
      tenantId,
      functionId,
    })),
    ...{ adjusted: r.adjusted.length, unrecorded: r.unrecorded, free: r.free, pending: r.pending, unwitnessed: r.unwitnessed },
    rollups: { hours: rollups.hours, mended: rollups.faults.length },
  };
}
