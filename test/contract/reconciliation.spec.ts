import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { asFunctionId, asRequestId, asTenantId, timePrefix } from '../../lib/core/ids.js';
import type { Attempt, Head } from '../../lib/core/invocations/model.js';
import { Closing } from '../../lib/core/metering/closing.js';
import { meterLine } from '../../lib/core/metering/meter-line.js';
import type { LedgerEntry, MeterEntry } from '../../lib/core/metering/model.js';
import { HOUR_MS } from '../../lib/core/metering/month.js';
import { Metering } from '../../lib/core/metering/service.js';
import { BillingUpkeep } from '../../lib/core/metering/upkeep.js';
import { EmbeddedAudit } from '../../lib/embedded/audit/audit-store.js';
import { digest } from '../../lib/embedded/clock.js';
import { EmbeddedInvocations } from '../../lib/embedded/invocations/invocations.js';
import { MeterFiles } from '../../lib/embedded/metering/meter-files.js';
import { EmbeddedMetering } from '../../lib/embedded/metering/store.js';
import { Database } from '../../lib/embedded/store/database.js';
import { AttemptMeter, meterFileName } from '../../lib/slots/meter.js';

const ACME = asTenantId('acme');
const FN = asFunctionId('fn_00000000000000000001');
const T0 = Date.parse('2026-11-20T22:10:00Z');
const MINUTE = 60_000;

/** Ledger, meter, audit and invocation records of one machine, with a clock that the test moves. */
class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'fns-reconcile-'));
  readonly meterFolder = join(this.folder, 'meter');
  now = T0;
  private count = 0;
  private constructor(
    readonly db: Database,
    readonly folderOfDb: string,
  ) {}

  meter = new AttemptMeter(this.meterFolder);
  invocations!: EmbeddedInvocations;
  store!: EmbeddedMetering;
  audit!: EmbeddedAudit;
  upkeep!: BillingUpkeep;
  metering!: Metering;

  static async open(): Promise<Bench> {
    const folder = mkdtempSync(join(tmpdir(), 'fns-reconcile-db-'));
    const bench = new Bench(await Database.open(folder, { diskFloorBytes: 0 }), folder);
    bench.invocations = new EmbeddedInvocations(bench.db);
    bench.store = new EmbeddedMetering(bench.db);
    bench.audit = new EmbeddedAudit(bench.db);
    bench.restart();
    return bench;
  }

  /** A new process over the same data. */
  restart(): void {
    const { store, invocations, audit } = this;
    const clock = { now: () => this.now, monotonicMs: () => this.now, after: () => () => {} };
    const closing = new Closing({ store, namesOf: async () => new Map([[FN, 'hello']]), digest });
    const onFault = (error: unknown) => {
      throw error;
    };
    this.upkeep = new BillingUpkeep({ store, invocations, audit, clock, closing, onFault, meter: new MeterFiles(this.meterFolder) });
    this.metering = new Metering({ store, closing, upkeep: this.upkeep, audit, clock });
  }

  async close(): Promise<void> {
    this.meter.close();
    await this.db.close();
    for (const folder of [this.folder, this.folderOfDb]) rmSync(folder, { recursive: true, force: true });
  }

  entry(more: Partial<LedgerEntry> = {}): LedgerEntry {
    this.count += 1;
    const requestId = asRequestId(`req_${timePrefix(this.now)}${String(this.count).padStart(16, '0')}`);
    return {
      requestId,
      attempt: 1,
      tenantId: ACME,
      functionId: FN,
      version: '$LATEST',
      memoryMb: 128,
      billedMs: 10,
      endedAt: this.now,
      first: true,
      ...more,
    };
  }

  metered(of: LedgerEntry, more: Partial<MeterEntry> = {}): void {
    const { first: _, ...entry } = of;
    this.meter.add({ ...entry, ...more });
    this.meter.flush();
  }

  /** As a keyless call is recorded: its meter line first, then one write of record and ledger entry. */
  async ran(more: { usage?: LedgerEntry; meter?: Partial<MeterEntry>; attempt?: Partial<Attempt> } = {}): Promise<LedgerEntry> {
    const usage = more.usage ?? this.entry();
    this.metered(usage, more.meter);
    await this.recorded(usage, more.attempt);
    return usage;
  }

  async recorded(usage: LedgerEntry, attempt: Partial<Attempt> = {}): Promise<void> {
    const head = headOf(usage, attempt);
    await this.invocations.record({ head, usage: head.attempts[0]?.billedMs ? usage : undefined });
  }

  sql(text: string, ...values: (string | number)[]): void {
    const other = new DatabaseSync(join(this.folderOfDb, 'fns.db'), { timeout: 5000 });
    other.prepare(text).run(...values);
    other.close();
  }

  meterFile(): string {
    return join(this.meterFolder, meterFileName(T0));
  }

  async run() {
    this.now += MINUTE;
    return (await this.upkeep.runOnce()).reconciliation;
  }

  async audited(): Promise<string[]> {
    return (await this.audit.list({ tenantId: ACME, limit: 1000 })).items.map((record) => record.action);
  }

  async billedMs(): Promise<number> {
    return (await this.metering.usage(ACME, {})).total.billedMs;
  }
}

function headOf(usage: LedgerEntry, attempt: Partial<Attempt> = {}): Head {
  const ran: Attempt = {
    ...{
      attempt: usage.attempt,
      version: usage.version,
      codeSha256: 'c',
      memoryMb: usage.memoryMb,
      startedAt: usage.endedAt - 10,
      durationMs: 9.5,
    },
    ...{ billedMs: usage.billedMs, coldStart: false, outcome: 'SUCCEEDED', fault: null },
    ...attempt,
  };
  return {
    ...{
      requestId: usage.requestId,
      tenantId: usage.tenantId,
      functionId: usage.functionId,
      qualifier: '$LATEST',
      mode: 'sync',
      priority: 'normal',
    },
    ...{
      state: 'SUCCEEDED',
      acceptedAt: usage.endedAt - 12,
      readyAt: usage.endedAt - 12,
      parked: false,
      completedAt: usage.endedAt,
      attempt: 1,
    },
    ...{
      lastNonce: 'n',
      attempts: [ran],
      replays: 0,
      payloadBytes: 2,
      chain: { startedAt: 0, tenantFaults: 0, platformFaults: 0, deaths: 0 },
    },
  } as Head;
}

describe('reconciliation of ledger and meter', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.close());

  it('finds nothing where both agree, whatever the number and however often it runs', async () => {
    for (let i = 0; i < 50; i += 1) {
      bench.now += 7;
      await bench.ran();
    }
    expect(await bench.run()).toMatchObject({ metered: 50, billed: 50, findings: [], unrecorded: 0, unwitnessed: 0, pending: 0 });
    expect(await bench.run()).toMatchObject({ metered: 0, billed: 0, findings: [] });
    expect(bench.upkeep.billingDrift()).toBe(0);
  });

  it('bills what ran and is missing from the ledger, audited, once', async () => {
    await bench.ran();
    const lost = await bench.ran();
    bench.sql('DELETE FROM ledger WHERE request_id = ?', lost.requestId);
    bench.sql('UPDATE usage_hour SET requests = 1, billed_ms = 10, mb_ms = 1280');
    const report = await bench.run();
    expect(report.findings).toMatchObject([{ drift: 'missing', requestId: lost.requestId }]);
    expect(report.adjusted).toMatchObject([{ requests: 1, billedMs: 10, mbMs: 1280n, reason: 'missing' }]);
    expect(bench.upkeep.billingDrift({ tenantId: ACME })).toBe(0.5);
    expect(bench.upkeep.billingDrift({ functionId: FN })).toBe(0.5);
    expect(bench.upkeep.billingDrift({ tenantId: asTenantId('other') })).toBe(0);
    expect((await bench.metering.usage(ACME, {})).total).toMatchObject({ requests: 2, billedMs: 20, gbSec: '0.0025' });
    expect((await bench.upkeep.runOnce({ fromMs: T0, toMs: bench.now })).reconciliation.findings).toEqual([]);
    bench.restart();
    expect((await bench.upkeep.runOnce({ fromMs: T0, toMs: bench.now })).reconciliation.findings).toEqual([]);
    expect(await bench.audited()).toEqual(['billing.drift', 'billing.adjust']);
    expect((await bench.metering.usage(ACME, {})).total).toMatchObject({ requests: 2, billedMs: 20 });
  });

  it('finds an entry of the meter that is gone: what is billed and never ran is taken back', async () => {
    const kept = await bench.ran();
    const planted = await bench.ran();
    await bench.ran();
    writeFileSync(
      bench.meterFile(),
      readFileSync(bench.meterFile(), 'utf8')
        .replace(/^.*\n/m, '')
        .replace(meterLine({ ...planted }), ''),
    );
    appendFileSync(bench.meterFile(), meterLine(kept));
    const report = await bench.run();
    expect(report.findings).toMatchObject([{ drift: 'extra', requestId: planted.requestId }]);
    expect(report.adjusted).toMatchObject([{ requests: -1, billedMs: -10 }]);
    expect(await bench.billedMs()).toBe(20);
    expect(await bench.audited()).toContain('billing.adjust');
  });

  it('takes back a row that was planted in the ledger', async () => {
    await bench.ran();
    await bench.db.write('metering.bill', bench.entry({ billedMs: 5000 }));
    expect((await bench.run()).findings).toMatchObject([{ drift: 'extra' }]);
    expect(await bench.billedMs()).toBe(10);
    expect(bench.upkeep.billingDrift()).toBe(1);
  });

  it.each([
    ['time in the ledger', { sql: 'UPDATE ledger SET billed_ms = 30' }],
    ['memory in the ledger', { sql: 'UPDATE ledger SET memory_mb = 512' }],
    ['time in the meter', { meter: { billedMs: 12 } }],
    ['nothing in the meter', { meter: { billedMs: 0 } }],
  ])('mends a bill that differs by %s, to what was metered', async (_, plant: { sql?: string; meter?: Partial<MeterEntry> }) => {
    await bench.ran({ meter: plant.meter });
    if (plant.sql) bench.sql(plant.sql);
    expect((await bench.run()).findings).toMatchObject([{ drift: 'differing' }]);
    const [sums] = await bench.store.usage(ACME, { fromMs: T0 - (T0 % HOUR_MS), toMs: T0 + HOUR_MS }, 'function');
    const metered = plant.meter?.billedMs ?? 10;
    const planted = plant.sql?.includes('billed_ms') ? { billedMs: -20, mbMs: -2560n } : { billedMs: 0, mbMs: -3840n };
    if (plant.meter) expect(sums).toMatchObject({ billedMs: metered, mbMs: BigInt(metered) * 128n });
    else expect(bench.upkeep.last?.reconciliation.adjusted).toMatchObject([planted]);
    expect((await bench.upkeep.runOnce({ fromMs: T0, toMs: bench.now })).reconciliation.findings).toEqual([]);
  });

  it('bills nobody for what ran and was lost with a crash, and calls it no drift', async () => {
    const keyless = bench.entry();
    bench.metered(keyless);
    const durable = bench.entry();
    bench.metered(durable);
    await bench.recorded(durable, { outcome: 'LOST', fault: 'platform', billedMs: 0 });
    const ours = bench.entry();
    bench.metered(ours);
    await bench.recorded(ours, { outcome: 'FAILED', fault: 'platform', billedMs: 0 });
    expect(await bench.run()).toMatchObject({ metered: 3, billed: 0, findings: [], unrecorded: 2, free: 1 });
    expect(bench.upkeep.billingDrift()).toBe(0);
    expect(await bench.billedMs()).toBe(0);
  });

  it('waits for an attempt that still runs by its record, and decides when its end is written', async () => {
    const { requestId } = bench.entry();
    const accepted = await bench.invocations.accept({
      ...{ requestId, tenantId: ACME, functionId: FN, qualifier: '$LATEST', mode: 'sync', priority: 'normal', payloadBytes: 2 },
      ...{ nonce: 'n1', now: bench.now, claim: { owner: 'me', voidAt: bench.now + 1e9 }, key: { slot: 's', digest: 'd', expiresAt: 1e15 } },
    });
    expect(accepted.kind).toBe('accepted');
    bench.metered(bench.entry({ requestId }));
    expect(await bench.run()).toMatchObject({ pending: 1, findings: [], unrecorded: 0 });
    await bench.invocations.complete(
      { requestId, attempt: 1, nonce: 'n1' },
      {
        attempt: {
          version: '$LATEST',
          codeSha256: 'c',
          memoryMb: 128,
          startedAt: T0,
          durationMs: 9.5,
          coldStart: false,
          outcome: 'SUCCEEDED',
          fault: null,
        },
      },
      { retry: { maxRetries: 0, baseDelayMs: 1, maxAgeSec: 60 }, jitter: 0, now: bench.now },
    );
    expect(await bench.run()).toMatchObject({ pending: 0, findings: [], billed: 1 });
    expect(await bench.billedMs()).toBe(10);
  });

  it('joins what was metered before the end of one window and billed after it', async () => {
    const late = bench.entry();
    bench.metered(late);
    bench.now += MINUTE;
    await bench.recorded({ ...late, endedAt: bench.now - 5_000 });
    bench.now += 1;
    expect((await bench.upkeep.runOnce()).reconciliation).toMatchObject({ metered: 1, billed: 0, findings: [] });
    expect(await bench.run()).toMatchObject({ metered: 0, billed: 1, findings: [], unwitnessed: 0 });
    bench.restart();
    expect((await bench.upkeep.runOnce({ fromMs: T0 + MINUTE - 6_000, toMs: bench.now })).reconciliation).toMatchObject({
      metered: 0,
      billed: 1,
      findings: [],
    });
  });

  it('joins many pages of one window, whose ends interleave', async () => {
    const entries = Array.from({ length: 4500 }, (_, i) => bench.entry({ endedAt: T0 + Math.floor(i / 7) }));
    for (const each of entries) bench.meter.add({ ...each });
    bench.meter.flush();
    await Promise.all(entries.map((each) => bench.db.write('metering.bill', { ...each, endedAt: each.endedAt + 3 })));
    expect(await bench.run()).toMatchObject({ metered: 4500, billed: 4500, findings: [], unrecorded: 0, unwitnessed: 0 });
  });

  it('leaves billed what the meter lost: its last lines before a power cut, or a whole hour', async () => {
    await bench.ran();
    bench.now += 1000;
    const cut = bench.entry();
    await bench.recorded(cut);
    bench.now += 1000;
    await bench.store.meterStarted(bench.now);
    await bench.recorded(bench.entry({ endedAt: T0 - 3 * HOUR_MS }));
    bench.sql(`INSERT INTO metering_state VALUES ('reconciledTo', ?)`, T0 - 4 * HOUR_MS);
    expect(await bench.run()).toMatchObject({ findings: [], unwitnessed: 2 });
    expect(await bench.billedMs()).toBe(30);
  });

  it('reads on after half a line and after zeros that a crash left', async () => {
    const before = await bench.ran();
    appendFileSync(bench.meterFile(), meterLine(before).slice(0, 40));
    bench.meter.close();
    bench.meter = new AttemptMeter(bench.meterFolder);
    await bench.ran();
    appendFileSync(bench.meterFile(), Buffer.alloc(200_000));
    bench.meter.close();
    bench.meter = new AttemptMeter(bench.meterFolder);
    await bench.ran();
    expect(await bench.run()).toMatchObject({ metered: 3, billed: 3, findings: [] });
  });

  it('never adjusts a month that is closed: the running month gets a line of its own', async () => {
    const end = Date.parse('2026-11-30T23:00:00Z');
    bench.now = end;
    const changed = await bench.ran();
    await bench.ran();
    await bench.run();
    bench.now = Date.parse('2026-12-01T02:00:00Z');
    await bench.run();
    const before = JSON.stringify(await bench.metering.invoice(ACME, '2026-11'));
    bench.sql('UPDATE ledger SET billed_ms = 1000010 WHERE request_id = ?', changed.requestId);
    await bench.metering.reconcile({ fromMs: end, toMs: end + HOUR_MS });
    expect(JSON.stringify(await bench.metering.invoice(ACME, '2026-11'))).toBe(before);
    const december = await bench.metering.invoice(ACME, '2026-12');
    expect(december.lines.map((line) => [line.description, line.quantity, line.unit])).toEqual([
      ['Adjustment of compute: hello, tier 1', '-125', 'GB-second'],
    ]);
    expect(december).toMatchObject({ status: 'open', total: '0.00' });
  });

  it('closes a month an hour after its end, keeps its invoice, and sees when the ledger says another thing', async () => {
    await bench.ran();
    expect(await bench.metering.invoice(ACME, '2026-11')).toMatchObject({ status: 'open' });
    bench.now = Date.parse('2026-12-01T00:30:00Z');
    await bench.upkeep.runOnce();
    expect(await bench.metering.invoice(ACME, '2026-11')).toMatchObject({ status: 'open' });
    expect(await bench.metering.verify(ACME, '2026-11')).toBe('notClosed');
    bench.now = Date.parse('2026-12-01T01:00:00Z');
    expect((await bench.upkeep.runOnce()).closedMonths).toEqual(['2026-11']);
    const closed = await bench.metering.invoice(ACME, '2026-11');
    expect(closed).toMatchObject({ status: 'closed', closedAt: bench.now, usage: { requests: 1, billedMs: 10, gbSec: '0.00125' } });
    expect(await bench.metering.verify(ACME, '2026-11')).toBe('same');
    bench.restart();
    expect((await bench.upkeep.runOnce()).closedMonths).toEqual([]);
    bench.sql('UPDATE usage_hour SET billed_ms = billed_ms + 1000, mb_ms = mb_ms + 128000');
    expect(await bench.metering.invoice(ACME, '2026-11')).toEqual(closed);
    expect(await bench.metering.verify(ACME, '2026-11')).toBe('differs');
    expect((await bench.metering.invoices(ACME, { limit: 10 })).items.map((each) => [each.month, each.status])).toEqual([
      ['2026-12', 'open'],
      ['2026-11', 'closed'],
    ]);
  });

  it('drops meter files that are old and joined', async () => {
    await bench.ran();
    await bench.run();
    bench.now += 8 * 24 * HOUR_MS;
    await bench.run();
    expect(await new MeterFiles(bench.meterFolder).oldest()).toBeUndefined();
    expect((await bench.upkeep.runOnce({ fromMs: T0, toMs: T0 + HOUR_MS })).reconciliation).toMatchObject({ unwitnessed: 1, findings: [] });
  });
});
