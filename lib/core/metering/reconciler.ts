import { timeOf } from '../ids.js';
import type { InvocationStore } from '../invocations/port.js';
import type { LedgerEntry, MeterEntry } from './model.js';
import { hourOf } from './month.js';
import type { MeteringStore, MeterReader } from './port.js';
import {
  compare,
  type DriftTally,
  type Finding,
  keyText,
  type Mismatch,
  meteredMbMs,
  newReport,
  type ReconciliationReport,
  whyUnbilled,
} from './reconciliation.js';

/** Ledger entries joined at a time: what this holds in memory, whatever the window. */
const PAGE = 2000;
/** An attempt's end is metered before it is billed, by the wait for its commit; looked for this far around first. */
const NEAR_MS = 600_000;

export interface ReconcilerParts {
  store: MeteringStore;
  meter: MeterReader;
  invocations: Pick<InvocationStore, 'get'>;
}

/** What one pass carries from slice to slice, and from run to run. */
interface Pass {
  report: ReconciliationReport;
  tallies: Map<string, DriftTally>;
  meterStarts: number[];
}

/** Joins ledger and meter over a window of time, and mends what differs by adjustments. */
export class Reconciler {
  /** Metered in an earlier slice, billed in a later one: found by their key already. */
  private readonly carried = new Map<string, MeterEntry>();
  /** Metered, and still running by their record. */
  private readonly pending = new Map<string, MeterEntry>();

  constructor(private readonly parts: ReconcilerParts) {}

  /** Joins all that ended in the window; run again over the same window it finds nothing new. `at` dates the adjustments. */
  async reconcile(window: { fromMs: number; toMs: number }, at: number): Promise<ReconciliationReport> {
    const report = newReport(window.fromMs, window.toMs);
    const pass: Pass = { report, tallies: new Map(), meterStarts: await this.parts.store.meterStarts() };
    await this.again(pass, at);
    for (let from = window.fromMs; from < window.toMs; ) {
      const billed = await this.parts.store.ledger({ fromMs: from, toMs: window.toMs }, PAGE);
      const to = billed.length < PAGE ? window.toMs : (billed.at(-1) as LedgerEntry).endedAt + 1;
      await this.slice({ fromMs: from, toMs: to }, billed, pass, at);
      from = to;
    }
    for (const [key, entry] of this.carried) if (entry.endedAt < window.toMs - NEAR_MS) this.carried.delete(key);
    report.pending = this.pending.size;
    report.tallies = [...pass.tallies.values()];
    return report;
  }

  private async slice(window: { fromMs: number; toMs: number }, billed: LedgerEntry[], pass: Pass, at: number): Promise<void> {
    const { report } = pass;
    const metered: MeterEntry[] = [];
    for await (const entries of this.parts.meter.read(window)) for (const entry of entries) metered.push(entry);
    report.billed += billed.length;
    report.metered += metered.length;
    for (const entry of metered) this.tally(pass, entry).meteredMbMs += meteredMbMs(entry);
    const known = new Set(metered.map(keyText));
    const earlier = billed.flatMap((entry) => {
      const found = known.has(keyText(entry)) ? undefined : this.carried.get(keyText(entry));
      return found ? [found] : [];
    });
    for (const entry of earlier) this.carried.delete(keyText(entry));
    const mismatches = compare(billed, [...earlier, ...metered]);
    const kinds = {
      notBilled: mismatches.flatMap((m) => (m.kind === 'notBilled' ? [m.metered] : [])),
      notMetered: mismatches.flatMap((m) => (m.kind === 'notMetered' ? [m.billed] : [])),
    };
    for (const mismatch of mismatches) if (mismatch.kind === 'differing') await this.differs(mismatch, pass, at);
    await this.notBilled(kinds.notBilled, window.toMs, pass, at);
    await this.notMetered(kinds.notMetered, pass, at);
  }

  private differs({ metered, billed }: Extract<Mismatch, { kind: 'differing' }>, pass: Pass, at: number): Promise<void> {
    return this.mend({ ...who(billed), drift: 'differing', metered }, pass, at);
  }

  /** Pending ones of earlier runs: their completion may have come. */
  private async again(pass: Pass, at: number): Promise<void> {
    const entries = [...this.pending.values()];
    this.pending.clear();
    await this.notBilled(entries, pass.report.fromMs, pass, at);
  }

  /** Not billed in this slice: billed a little later, not at all by contract, or missing. */
  private async notBilled(entries: readonly MeterEntry[], sliceEnd: number, pass: Pass, at: number): Promise<void> {
    if (entries.length === 0) return;
    const found = await this.parts.store.entries(entries);
    for (const [i, metered] of entries.entries()) {
      const billed = found[i];
      if (billed) {
        if (billed.endedAt >= sliceEnd) this.carried.set(keyText(metered), metered);
        for (const mismatch of compare([billed], [metered])) if (mismatch.kind === 'differing') await this.differs(mismatch, pass, at);
        continue;
      }
      await this.judge(metered, pass, at);
    }
  }

  private async judge(metered: MeterEntry, pass: Pass, at: number): Promise<void> {
    const head = await this.parts.invocations.get(metered.tenantId, metered.requestId);
    const why = whyUnbilled(head, metered.attempt);
    if (why === 'pending') this.pending.set(keyText(metered), metered);
    else if (why === 'missing') await this.mend({ ...who(metered), drift: 'missing', metered }, pass, at);
    else pass.report[why] += 1;
  }

  private async notMetered(entries: readonly LedgerEntry[], pass: Pass, at: number): Promise<void> {
    const found = await this.findMetered(entries, at);
    for (const billed of entries) {
      const metered = found.get(keyText(billed));
      if (metered)
        for (const mismatch of compare([billed], [metered])) if (mismatch.kind === 'differing') await this.differs(mismatch, pass, at);
      if (metered) continue;
      if (await this.meterWasLost(billed, pass)) pass.report.unwitnessed += 1;
      else await this.mend({ ...who(billed), drift: 'extra' }, pass, at);
    }
  }

  /** Near its end first; then wherever the invocation may have run at all, before anything is taken off a bill. */
  private async findMetered(entries: readonly LedgerEntry[], at: number): Promise<Map<string, MeterEntry>> {
    const found = new Map<string, MeterEntry>();
    const look = async (fromMs: number, toMs: number) => {
      const open = new Set(entries.map(keyText).filter((key) => !found.has(key)));
      if (open.size > 0) for (const entry of await this.parts.meter.find(open, { fromMs, toMs })) found.set(keyText(entry), entry);
    };
    if (entries.length === 0) return found;
    const ends = entries.map((entry) => entry.endedAt);
    await look(Math.min(...ends) - NEAR_MS, Math.max(...ends) + NEAR_MS);
    await look(Math.min(...ends, ...entries.map((entry) => timeOf(entry.requestId)).filter((ms) => ms > 0)) - NEAR_MS, at + NEAR_MS);
    return found;
  }

  /**
   * The meter hands its lines to the kernel before the ledger's commit, so they outlive a killed process, but a power
   * cut may take its last ones; and its hour files are dropped one day. What has no witness stays billed as recorded.
   */
  private async meterWasLost(billed: LedgerEntry, pass: Pass): Promise<boolean> {
    if (!(await this.parts.meter.hasHour(hourOf(billed.endedAt)))) return true;
    const nextStart = pass.meterStarts.find((start) => start >= billed.endedAt);
    if (nextStart === undefined) return false;
    const lastLine = await this.parts.meter.lastEndBefore(nextStart);
    return lastLine === undefined || billed.endedAt > lastLine;
  }

  private async mend(finding: Finding, pass: Pass, at: number): Promise<void> {
    const adjustment = await this.parts.store.adjust(finding, at);
    // Adjusted by an earlier run already: the bill agrees.
    if (!adjustment) return;
    const mbMs = adjustment.mbMs;
    pass.report.findings.push(finding);
    pass.report.adjusted.push(adjustment);
    this.tally(pass, finding).driftMbMs += mbMs < 0n ? -mbMs : mbMs;
  }

  private tally(pass: Pass, of: Pick<DriftTally, 'tenantId' | 'functionId'>): DriftTally {
    const tally = pass.tallies.get(of.functionId) ?? { tenantId: of.tenantId, functionId: of.functionId, meteredMbMs: 0n, driftMbMs: 0n };
    pass.tallies.set(of.functionId, tally);
    return tally;
  }
}

const who = ({ requestId, attempt, tenantId, functionId, version }: LedgerEntry | MeterEntry) => ({
  requestId,
  attempt,
  tenantId,
  functionId,
  version,
});
