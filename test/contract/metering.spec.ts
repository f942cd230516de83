import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { asFunctionId, asRequestId, asTenantId, timePrefix } from '../../lib/core/ids.js';
import type { Invoice } from '../../lib/core/metering/invoice.js';
import type { LedgerEntry } from '../../lib/core/metering/model.js';
import { HOUR_MS, hourOf } from '../../lib/core/metering/month.js';
import type { MeteringStore } from '../../lib/core/metering/port.js';
import { DEFAULT_PRICE_PLAN } from '../../lib/core/metering/price-plan.js';
import { EmbeddedAudit } from '../../lib/embedded/audit/audit-store.js';
import { EmbeddedMetering } from '../../lib/embedded/metering/store.js';
import { Database } from '../../lib/embedded/store/database.js';

/** A store with a way to bill, as the steps that record outcomes do it, and a way to damage a rollup. */
interface Opened {
  store: MeteringStore;
  bill(entry: LedgerEntry): Promise<void>;
  audited(): Promise<string[]>;
  damageRollups(): void;
  close(): Promise<void>;
}

const ACME = asTenantId('acme');
const OTHER = asTenantId('other');
const T0 = Date.parse('2026-11-20T22:10:00Z');

async function embedded(): Promise<Opened> {
  const folder = mkdtempSync(join(tmpdir(), 'fns-metering-'));
  const db = await Database.open(folder, { diskFloorBytes: 0 });
  const audit = new EmbeddedAudit(db);
  return {
    store: new EmbeddedMetering(db),
    bill: (entry) => db.write('metering.bill', entry),
    audited: async () => (await audit.list({ tenantId: ACME, limit: 100 })).items.map((record) => record.action),
    damageRollups: () => {
      const other = new DatabaseSync(join(folder, 'fns.db'), { timeout: 5000 });
      other.exec('UPDATE usage_hour SET billed_ms = billed_ms + 5');
      other.close();
    },
    close: async () => {
      await db.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What every adapter of MeteringStore must do. */
function meteringContract(adapter: string, open: () => Promise<Opened>): void {
  describe(`metering, ${adapter}`, () => {
    let opened: Opened;
    let store: MeteringStore;
    let count = 0;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());

    const requestId = () => {
      count += 1;
      return asRequestId(`req_${timePrefix(T0)}${String(count).padStart(16, '0')}`);
    };
    const entry = (more: Partial<LedgerEntry> = {}): LedgerEntry => ({
      requestId: requestId(),
      attempt: 1,
      tenantId: ACME,
      functionId: asFunctionId('fn_a'),
      version: '$LATEST',
      memoryMb: 128,
      billedMs: 10,
      endedAt: T0,
      first: true,
      ...more,
    });
    const november = { fromMs: Date.parse('2026-11-01T00:00:00Z'), toMs: Date.parse('2026-12-01T00:00:00Z') };
    const finding = (of: LedgerEntry, metered: { memoryMb: number; billedMs: number } | undefined) => ({
      ...of,
      drift: metered ? ('differing' as const) : ('extra' as const),
      metered,
    });

    it('counts a repeat of the same attempt once, whatever it says', async () => {
      const one = entry();
      await opened.bill(one);
      await opened.bill({ ...one, billedMs: 99 });
      expect(await store.usage(ACME, november, 'function')).toMatchObject([{ functionId: 'fn_a', requests: 1, billedMs: 10, mbMs: 1280n }]);
      expect(await store.entries([one, { ...one, attempt: 2 }])).toEqual([one, undefined]);
    });

    it('adds up by function, day and version, days beginning at midnight UTC, and shows nobody another tenant', async () => {
      await opened.bill(entry({ endedAt: Date.parse('2026-11-19T23:59:59.999Z') }));
      await opened.bill(entry({ endedAt: Date.parse('2026-11-20T00:00:00.000Z'), version: '1', memoryMb: 256 }));
      await opened.bill(entry({ functionId: asFunctionId('fn_b'), first: false }));
      await opened.bill(entry({ tenantId: OTHER }));
      await opened.bill(entry({ endedAt: november.toMs }));
      const sums = async (by: 'function' | 'day' | 'version') =>
        (await store.usage(ACME, november, by)).map((s) => [by === 'day' ? s.day : s.functionId, s.version, s.requests, s.mbMs]);
      expect(await sums('function')).toEqual([
        ['fn_a', undefined, 2, 3840n],
        ['fn_b', undefined, 0, 1280n],
      ]);
      expect(await sums('day')).toEqual([
        ['2026-11-19', undefined, 1, 1280n],
        ['2026-11-20', undefined, 1, 3840n],
      ]);
      expect(await sums('version')).toEqual([
        ['fn_a', '$LATEST', 1, 1280n],
        ['fn_a', '1', 1, 2560n],
        ['fn_b', '$LATEST', 0, 1280n],
      ]);
      expect(await store.months(ACME)).toEqual(['2026-12', '2026-11']);
      expect(await store.tenantsWithUsage(november)).toEqual([ACME, OTHER]);
    });

    it('keeps sums exact beyond what a double holds', async () => {
      for (let i = 0; i < 3; i += 1) await opened.bill(entry({ memoryMb: 10_239, billedMs: 8.5e11 + 1 }));
      expect((await store.usage(ACME, november, 'function'))[0]?.mbMs).toBe(3n * 10_239n * 850_000_000_001n);
    });

    it('counts in the first open hour what ends in a month that is closed, and the closed month stays as it was', async () => {
      await opened.bill(entry());
      await store.close(november.toMs);
      await store.close(november.fromMs);
      expect(await store.openFromMs()).toBe(november.toMs);
      await opened.bill(entry({ billedMs: 7 }));
      expect((await store.usage(ACME, november, 'function'))[0]?.billedMs).toBe(10);
      const december = { fromMs: november.toMs, toMs: november.toMs + HOUR_MS };
      expect((await store.usage(ACME, december, 'function'))[0]?.billedMs).toBe(7);
      expect(await store.checkRollup(hourOf(november.toMs))).toEqual([]);
      expect(await store.checkRollup(hourOf(T0))).toEqual([]);
    });

    it('adjusts once, with an audit record, and dates the adjustment by when it was made', async () => {
      const one = entry();
      const later = T0 + 30 * 24 * HOUR_MS;
      await opened.bill(one);
      const made = await store.adjust(finding(one, { memoryMb: 128, billedMs: 8 }), later);
      expect(made).toMatchObject({ requests: 0, billedMs: -2, mbMs: -256n, reason: 'differing', at: later });
      expect(await store.adjust(finding(one, { memoryMb: 128, billedMs: 8 }), later)).toBeUndefined();
      expect((await store.usage(ACME, november, 'function'))[0]?.billedMs).toBe(10);
      const december = { fromMs: november.toMs, toMs: Date.parse('2027-01-01T00:00:00Z') };
      expect(await store.invoiceSums(ACME, december)).toMatchObject({ used: [], adjusted: [{ functionId: 'fn_a', billedMs: -2 }] });
      expect(await store.adjustments(ACME, december)).toEqual([made]);
      expect(await opened.audited()).toEqual(['billing.adjust']);
    });

    it('takes the request off the count when nothing of it is left on the bill, and not before', async () => {
      const [one, two] = [entry(), entry()];
      const retried = { ...two, attempt: 2, first: false };
      for (const each of [one, two, retried]) await opened.bill(each);
      expect(await store.adjust(finding(one, undefined), T0)).toMatchObject({ requests: -1, billedMs: -10 });
      expect(await store.adjust(finding(two, undefined), T0)).toMatchObject({ requests: 0, billedMs: -10 });
      expect(await store.adjust(finding(retried, undefined), T0)).toMatchObject({ requests: -1, billedMs: -10 });
      expect(await store.usage(ACME, november, 'function')).toMatchObject([{ requests: 0, billedMs: 0, mbMs: 0n }]);
    });

    it('finds a rollup that the ledger does not bear out, and mends it once, with an audit record', async () => {
      for (let i = 0; i < 5; i += 1) await opened.bill(entry({ endedAt: T0 + i * 60_000 }));
      opened.damageRollups();
      const [fault, ...others] = await store.checkRollup(hourOf(T0));
      expect(others).toEqual([]);
      expect(fault).toMatchObject({ functionId: 'fn_a', stored: { billedMs: 55 }, ledger: { requests: 5, billedMs: 50, mbMs: 6400n } });
      expect(await store.mendRollup(fault as never, T0)).toBe(true);
      expect(await store.mendRollup(fault as never, T0)).toBe(false);
      expect(await store.checkRollup(hourOf(T0))).toEqual([]);
      expect(await opened.audited()).toEqual(['billing.rollup']);
    });

    it('reads the ledger page by page, without cutting an instant in two', async () => {
      for (const ms of [5, 1, 3, 3, 3, 4]) await opened.bill(entry({ endedAt: T0 + ms }));
      const ends = async (fromMs: number, limit: number) =>
        (await store.ledger({ fromMs, toMs: T0 + 5 }, limit)).map((each) => each.endedAt - T0);
      expect(await ends(T0, 2)).toEqual([1, 3, 3, 3]);
      expect(await ends(T0 + 4, 2)).toEqual([4]);
    });

    it('keeps price plans in the order in which they came, and the first invoice of a closed month', async () => {
      const later = { ...DEFAULT_PRICE_PLAN, effectiveFrom: '2027-01' };
      const mended = { ...later, currency: 'EUR' };
      for (const plan of [later, DEFAULT_PRICE_PLAN, mended]) await store.putPlan(plan);
      expect(await store.plans()).toEqual([later, DEFAULT_PRICE_PLAN, mended]);
      const invoice = { tenantId: ACME, month: '2026-11', total: '1.00' } as Invoice;
      await store.keepInvoice({ invoice, ledgerDigest: 'a' });
      await store.keepInvoice({ invoice: { ...invoice, total: '2.00' }, ledgerDigest: 'b' });
      expect(await store.keptInvoice(ACME, '2026-11')).toEqual({ invoice, ledgerDigest: 'a' });
      expect(await store.keptInvoice(OTHER, '2026-11')).toBeUndefined();
    });

    it('remembers how far it was reconciled, and when meters began', async () => {
      expect(await store.reconciledTo()).toBeUndefined();
      await store.setReconciledTo(T0);
      await store.setReconciledTo(T0 - 5);
      expect(await store.reconciledTo()).toBe(T0);
      for (const at of [T0 + 1, T0, T0]) await store.meterStarted(at);
      expect(await store.meterStarts()).toEqual([T0, T0 + 1]);
    });
  });
}

meteringContract('embedded', embedded);
