import { existsSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { DEFAULTS } from '../../lib/core/defaults.js';
import { asFunctionId, asRequestId, asTenantId, timePrefix } from '../../lib/core/ids.js';
import type { AcceptRequest, Head } from '../../lib/core/invocations/model.js';
import { systemClock } from '../../lib/embedded/clock.js';
import { EmbeddedInvocations } from '../../lib/embedded/invocations/invocations.js';
import { Database } from '../../lib/embedded/store/database.js';
import { Expiry } from '../../lib/embedded/store/expiry.js';

const tenantId = asTenantId('acme');
const functionId = asFunctionId('fn_one');
const DAY_MS = 24 * 3_600_000;
const T0 = Date.parse('2026-03-01T12:00:00Z');

describe('expiry of invocations', () => {
  let folder: string;
  let db: Database;
  let store: EmbeddedInvocations;
  let made = 0;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fns-expiry-'));
    db = await Database.open(folder);
    store = new EmbeddedInvocations(db);
  });
  afterEach(async () => {
    await db.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const roundAt = (now: number): Promise<void> => new Expiry({ ...systemClock, now: () => now }, store.expiry()).round();
  const accepted = async (at: number, more: Partial<AcceptRequest> = {}): Promise<Head> => {
    made += 1;
    const requestId = asRequestId(`req_${timePrefix(at)}${String(made).padStart(16, '0')}`);
    const { head } = await store.accept({
      ...{
        requestId,
        tenantId,
        functionId,
        qualifier: '1',
        mode: 'async',
        priority: 'normal',
        payloadBytes: 1,
        nonce: `n${made}`,
        now: at,
      },
      ...{ payload: { kind: 'inline', json: '1' } },
      ...more,
    });
    return head;
  };
  const succeeded = async (at: number, more: Partial<AcceptRequest> = {}): Promise<Head> => {
    const { requestId } = await accepted(at, more);
    await store.claim(requestId, { owner: 'me', nonce: requestId, now: at, voidAt: at + 1000, maxAgeSec: 60 });
    const attempt = { version: '1', codeSha256: '', memoryMb: 128, startedAt: at, durationMs: 5, coldStart: false };
    const decision = await store.complete(
      { requestId, attempt: 1, nonce: requestId },
      { attempt: { ...attempt, outcome: 'SUCCEEDED', fault: null }, result: await store.place('1') },
      { retry: { maxRetries: 0, baseDelayMs: 0, maxAgeSec: 60 }, jitter: 0, now: at },
    );
    if (decision.kind !== 'recorded') throw new Error(decision.kind);
    return decision.head;
  };
  const isThere = async (head: Head): Promise<boolean> => (await store.get(tenantId, head.requestId)) !== undefined;
  const rowsIn = (table: string): number => {
    const file = new DatabaseSync(join(folder, 'fns.db'), { readOnly: true });
    const { found } = file.prepare(`SELECT count(*) AS found FROM ${table}`).get();
    file.close();
    return found;
  };

  it('removes records after 30 days, and keeps what still waits and what was billed', async () => {
    const old = await succeeded(T0);
    const waiting = await accepted(T0);
    const young = await succeeded(T0 + DAY_MS);
    await roundAt(T0 + DEFAULTS.invocationTtlMs + 1);
    expect([await isThere(old), await isThere(waiting), await isThere(young)]).toEqual([false, true, true]);
    expect(rowsIn('ledger')).toBe(2);
  });

  it('removes more than a piece at once', async () => {
    await Promise.all(
      Array.from({ length: 1201 }, () => accepted(T0).then((head) => store.bury(head.requestId, 'max_age', T0, head.requestId))),
    );
    await roundAt(T0 + DEFAULTS.deadLetterTtlMs + 1);
    expect(rowsIn('invocations')).toBe(0);
  });

  it('removes dead letters 14 days after their death, not after their acceptance', async () => {
    const early = await accepted(T0);
    await store.bury(early.requestId, 'max_age', T0, 'b1');
    const late = await accepted(T0);
    await store.bury(late.requestId, 'max_age', T0 + DAY_MS, 'b2');
    await roundAt(T0 + DEFAULTS.deadLetterTtlMs + 1);
    expect([await isThere(early), await isThere(late)]).toEqual([false, true]);
  });

  it('removes keys after 24 hours, never before', async () => {
    const key = (slot: string, at: number) => ({ slot, digest: 'd', expiresAt: at + DEFAULTS.keyTtlMs });
    await accepted(T0, { key: key('old', T0) });
    await accepted(T0 + 1, { key: key('young', T0 + 1) });
    await roundAt(T0 + DEFAULTS.keyTtlMs);
    expect(rowsIn('invocation_keys')).toBe(1);
  });

  it('removes files that no record names any more, and no file that was placed a moment ago', async () => {
    const large = JSON.stringify('x'.repeat(DEFAULTS.rowPayloadBytes));
    const kept = await store.place(`${large.slice(0, -1)}kept"`);
    await accepted(T0, { payload: kept });
    const used = await store.place(large);
    const done = await succeeded(T0, { payload: used });
    const path = (stored: typeof used): string =>
      stored.kind === 'blob' ? join(folder, 'blobs', stored.digest.slice(0, 2), stored.digest) : '';
    expect([existsSync(path(used)), existsSync(path(kept))]).toEqual([true, true]);
    for (const each of [used, kept]) utimesSync(path(each), T0 / 1000, T0 / 1000);
    await roundAt(T0 + DAY_MS);
    expect(existsSync(path(used))).toBe(true);
    // A process that did not place it: nothing is remembered.
    const later = new EmbeddedInvocations(db);
    await new Expiry({ ...systemClock, now: () => T0 + DAY_MS }, later.expiry()).round();
    expect(done.payload).toBeUndefined();
    expect([existsSync(path(used)), existsSync(path(kept))]).toEqual([false, true]);
  });
});
