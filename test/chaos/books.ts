import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { parseMeterLines } from '../../lib/core/metering/meter-line.js';
import type { LedgerEntry, MeterEntry } from '../../lib/core/metering/model.js';
import { compare, keyText, whyUnbilled } from '../../lib/core/metering/reconciliation.js';
import { COLUMNS, type Row, unpack } from '../../lib/embedded/invocations/row.js';
import { FAILING_RETRIES, type Journal } from './load.js';
import type { Machine } from './machine.js';

// biome-ignore lint/suspicious/noExplicitAny: invocations as the API tells them
type Told = any;

/** Asks for all of them, some at a time. */
async function each<T>(items: readonly T[], visit: (item: T) => Promise<void>, atOnce = 12): Promise<void> {
  const left = [...items];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = left.pop(); item !== undefined; item = left.pop()) await visit(item);
    }),
  );
}

const count = (told: Told, outcome: (attempt: Told) => boolean): number => told.attempts.filter(outcome).length;

/** An accepted request whose handler can succeed may die only of our deaths or of slots that were killed under it. */
function isJustlyDead(told: Told, retries: number): boolean {
  const lost = count(told, (a) => a.outcome === 'LOST');
  const ours = count(told, (a) => a.fault === 'platform');
  const theirs = count(told, (a) => a.fault === 'tenant');
  return lost >= 3 || ours >= 5 || theirs > retries;
}

/** Every promise of the journal against what the platform says now. Empty: all kept. */
export async function brokenPromises(machine: Machine, journal: Journal): Promise<string[]> {
  const broken = [...journal.wrong];
  await each([...journal.accepted], async ([requestId, succeeds]) => {
    const told = await machine.finished(requestId);
    const good = succeeds ? told.state === 'SUCCEEDED' : told.state === 'DEAD';
    const excused = told.state === 'DEAD' && isJustlyDead(told, succeeds ? 5 : FAILING_RETRIES);
    if (!good && !excused) broken.push(`accepted ${requestId} ended ${JSON.stringify(told).slice(0, 600)}`);
    if (told.state === 'DEAD' && !excused) broken.push(`${requestId} died before its time: ${JSON.stringify(told).slice(0, 600)}`);
  });
  await each([...journal.succeeded], async ([requestId, result]) => {
    const told = await machine.ok('GET', `/invocations/${requestId}`);
    const same = told.state === 'SUCCEEDED' && JSON.stringify(told.result) === JSON.stringify(result);
    if (!same) broken.push(`${requestId} was told SUCCEEDED ${JSON.stringify(result)} and is ${JSON.stringify(told).slice(0, 600)}`);
  });
  await each([...journal.keys], async ([key, ids]) => {
    if (ids.size !== 1) broken.push(`${key} was told as ${[...ids].join(' and ')}`);
    for (const id of ids) {
      const told = await machine.finished(id);
      if (count(told, (a) => a.outcome === 'SUCCEEDED') > 1) broken.push(`${key}: ${id} succeeded twice`);
    }
  });
  return broken;
}

/** Usage as it is told, against the sum over all invocations as they are told. */
export async function brokenUsage(machine: Machine, functionIds: string[]): Promise<string[]> {
  const usage = await machine.ok('GET', '/usage?groupBy=function');
  const broken: string[] = [];
  for (const functionId of functionIds) {
    const invocations = await machine.all(`/functions/${functionId}/invocations`);
    const billed = invocations.filter((one) => one.billedMs > 0);
    const sum = { requests: billed.length, billedMs: billed.reduce((total, one) => total + one.billedMs, 0) };
    const item = usage.items.find((one: Told) => one.key === functionId) ?? { requests: 0, billedMs: 0 };
    if (item.requests !== sum.requests || item.billedMs !== sum.billedMs) {
      broken.push(
        `${functionId}: usage says ${item.requests} requests, ${item.billedMs} ms; its invocations ${sum.requests}, ${sum.billedMs} ms`,
      );
    }
  }
  return broken;
}

export interface Books {
  broken: string[];
  invocations: number;
  ledger: number;
  metered: number;
  /** Ran, and were cut off before their outcome could be recorded: billed to nobody. */
  unrecorded: number;
}

/** The files of a platform that has stopped: ledger against meter, keys against successes. */
export function books(dataDir: string): Books {
  const db = new DatabaseSync(join(dataDir, 'fns.db'), { readOnly: true });
  try {
    const broken: string[] = [];
    const rows = db.prepare(`SELECT ${COLUMNS.join()} FROM invocations`).all() as Record<string, unknown>[];
    const heads = new Map(rows.map((row) => [row.request_id, unpack(COLUMNS.map((column) => row[column]) as Row)]));
    const successes = new Map<string, number>();
    for (const head of heads.values()) {
      if (head.lease) broken.push(`${head.requestId} is still leased after a drain`);
      const times = head.attempts.filter((attempt) => attempt.outcome === 'SUCCEEDED').length;
      const slot = head.keySlot ?? head.requestId;
      successes.set(slot, (successes.get(slot) ?? 0) + times);
    }
    for (const [slot, times] of successes) if (times > 1) broken.push(`${slot} has ${times} successes`);
    const billed = (db.prepare('SELECT * FROM ledger').all() as Record<string, unknown>[]).map(ledgerEntry);
    const metered = meterEntries(join(dataDir, 'meter'));
    let unrecorded = 0;
    for (const mismatch of compare(billed, metered)) {
      const why =
        mismatch.kind === 'notBilled' ? whyUnbilled(heads.get(mismatch.metered.requestId), mismatch.metered.attempt) : mismatch.kind;
      if (why === 'unrecorded') unrecorded += 1;
      else if (why !== 'free') broken.push(`${why}: ${JSON.stringify(mismatch)}`);
    }
    const twice = billed.length - new Set(billed.map(keyText)).size;
    if (twice > 0) broken.push(`${twice} attempts are billed twice`);
    const { n } = db.prepare('SELECT COUNT(*) AS n FROM adjustment').get() as { n: number };
    if (n > 0) broken.push(`${n} adjustments were needed`);
    return { broken, invocations: rows.length, ledger: billed.length, metered: metered.length, unrecorded };
  } finally {
    db.close();
  }
}

const ledgerEntry = (row: Record<string, unknown>): LedgerEntry =>
  ({
    requestId: row.request_id,
    attempt: Number(row.attempt),
    tenantId: row.tenant_id,
    functionId: row.function_id,
    version: row.version,
    memoryMb: Number(row.memory_mb),
    billedMs: Number(row.billed_ms),
    endedAt: Number(row.ended_at),
    first: row.first === 1,
  }) as LedgerEntry;

const meterEntries = (folder: string): MeterEntry[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.tsv'))
    .flatMap((name) => parseMeterLines(readFileSync(join(folder, name), 'utf8')));
