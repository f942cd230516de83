import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asFunctionId, asRequestId, asTenantId, timePrefix } from '../../lib/core/ids.js';
import { accept, bury } from '../../lib/core/invocations/rules.js';
import type { LedgerEntry } from '../../lib/core/metering/model.js';
import { PlatformFault } from '../../lib/core/refusal.js';
import { EmbeddedInvocations } from '../../lib/embedded/invocations/invocations.js';
import { pack } from '../../lib/embedded/invocations/row.js';
import { Database, type DatabaseOptions, type Health } from '../../lib/embedded/store/database.js';
import { FolderInUse } from '../../lib/embedded/store/folder-lock.js';
import { KILL_POINTS } from '../../lib/embedded/store/protocol.js';

const tenantId = asTenantId('acme');
const functionId = asFunctionId('fn_one');
const T0 = Date.parse('2026-03-01T12:00:00Z');

describe('the store', () => {
  const folders: string[] = [];
  const opened: Database[] = [];
  const newFolder = (): string => {
    folders.push(mkdtempSync(join(tmpdir(), 'fns-store-')));
    return folders.at(-1) as string;
  };
  const open = async (options: DatabaseOptions = {}, folder = newFolder()): Promise<Database> => {
    const db = await Database.open(folder, options);
    opened.push(db);
    return db;
  };
  afterEach(async () => {
    for (const db of opened.splice(0)) await db.close();
    for (const each of folders.splice(0)) rmSync(each, { recursive: true, force: true });
  });

  /** A step with an effect that counts: twice is seen. */
  const audit = (db: Database, target: string): Promise<void> =>
    db.write('audit.append', { at: T0, tenantId, actor: 'me', action: 'a.b', target });
  const audited = async (db: Database): Promise<string[]> =>
    (await db.read('audit.list', { tenantId, limit: 5000 })).map(({ record }) => record.target).sort();
  const entry = (requestId: string, more: Partial<LedgerEntry> = {}): LedgerEntry => ({
    ...{
      requestId: asRequestId(requestId),
      attempt: 1,
      tenantId,
      functionId,
      version: '1',
      memoryMb: 128,
      billedMs: 5,
      endedAt: T0,
      first: true,
    },
    ...more,
  });
  /** SQLite refuses it: a column that must not be null. */
  const bad = (db: Database): Promise<void> => db.write('metering.bill', entry('req_bad', { version: null as never }));
  const deadHead = (requestId: string) => {
    const { head } = accept(undefined, {
      ...{ requestId: asRequestId(requestId), tenantId, functionId, qualifier: '1', mode: 'async', priority: 'normal' },
      ...{ payloadBytes: 0, nonce: requestId, now: T0 },
    });
    return pack(bury(head, 'max_age', T0, `${requestId}.b`));
  };

  describe('group commit', () => {
    it('sends all writes of one turn as one batch, and those that come meanwhile as the next', async () => {
      const db = await open();
      let batches = 0;
      db.beforeSend(() => {
        batches += 1;
      });
      const first = Array.from({ length: 50 }, (_, i) => audit(db, `a${i}`));
      await new Promise((resolve) => setImmediate(resolve));
      expect(batches).toBe(1);
      const second = Array.from({ length: 50 }, (_, i) => audit(db, `b${i}`));
      await Promise.all([...first, ...second]);
      expect(batches).toBe(2);
      expect(await audited(db)).toHaveLength(100);
    });

    it('keeps the order in which steps were given', async () => {
      const db = await open();
      await Promise.all(['x', 'y', 'z'].map((target) => audit(db, target)));
      const found = await db.read('audit.list', { tenantId, limit: 10 });
      expect(found.map(({ record }) => record.target)).toEqual(['z', 'y', 'x']);
    });

    it('shows to a reader what was acknowledged before', async () => {
      const db = await open();
      for (let i = 0; i < 50; i += 1) {
        await audit(db, `${i}`);
        expect(await audited(db)).toHaveLength(i + 1);
      }
    });

    it('lets a step that throws spoil nobody’s', async () => {
      const db = await open();
      const settled = await Promise.allSettled([audit(db, 'before'), bad(db), audit(db, 'after')]);
      expect(settled.map((each) => each.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect((settled[1] as PromiseRejectedResult).reason).not.toBeInstanceOf(PlatformFault);
      expect(await audited(db)).toEqual(['after', 'before']);
      expect(db.health()).toEqual({ ok: true });
    });

    it('refuses what cannot be sent, and sends the rest', async () => {
      const db = await open();
      const settled = await Promise.allSettled([audit(db, 'one'), audit(db, (() => {}) as never), audit(db, 'two')]);
      expect(settled.map((each) => each.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(await audited(db)).toEqual(['one', 'two']);
    });

    it('commits what waits before it closes', async () => {
      const folder = newFolder();
      const db = await Database.open(folder);
      const writes = Array.from({ length: 3000 }, (_, i) => audit(db, `${i}`));
      await db.close();
      await Promise.all(writes);
      await expect(audit(db, 'late')).rejects.toThrow(PlatformFault);
      expect((await open({}, folder)) && (await audited(opened[0]!)).length).toBe(3000);
    });
  });

  describe('when the writer thread is terminated', () => {
    it.each(KILL_POINTS)('%s: every write is answered truly, and none takes effect twice', async (point) => {
      const db = await open({ killSwitch: { point, batch: 2 } });
      await audit(db, 'earlier');
      const settled = await Promise.allSettled([
        audit(db, 'one'),
        db.write('invocations.deposit', deadHead('req_dead')),
        db.write('metering.bill', entry('req_billed')),
        bad(db),
        audit(db, 'two'),
      ]);
      expect(settled.map((each) => each.status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
      // Its answer says what the step did, not what a second run would find.
      expect(settled[1]).toMatchObject({ value: true });
      expect(await audited(db)).toEqual(['earlier', 'one', 'two']);
      expect(await db.write('invocations.deposit', deadHead('req_dead'))).toBe(false);
      await audit(db, 'later');
      expect(db.health()).toEqual({ ok: true });
    });

    it.each(KILL_POINTS)('%s: steps of an invocation give the answer that they gave', async (point) => {
      const db = await open({ killSwitch: { point, batch: 2, times: 3 } });
      const store = new EmbeddedInvocations(db);
      await store.heartbeat('me', T0);
      const request = (i: number) => ({
        ...{
          requestId: asRequestId(`req_${timePrefix(T0)}${i}`),
          tenantId,
          functionId,
          qualifier: '1',
          mode: 'async' as const,
          priority: 'normal' as const,
        },
        ...{ payloadBytes: 0, nonce: `n${i}`, now: T0, key: { slot: `${i % 10}`, digest: 'd', expiresAt: T0 + 1000 } },
      });
      const accepted = await Promise.all(Array.from({ length: 20 }, (_, i) => store.accept(request(i))));
      expect(accepted.map((d) => d.kind)).toEqual([...Array(10).fill('accepted'), ...Array(10).fill('running')]);
      const claims = await Promise.all(
        accepted
          .slice(0, 10)
          .map(({ head }, i) => store.claim(head.requestId, { owner: 'me', nonce: `c${i}`, now: T0, voidAt: T0 + 1000, maxAgeSec: 60 })),
      );
      expect(claims.every((claim) => claim.kind === 'claimed')).toBe(true);
      const attempt = { version: '1', codeSha256: '', memoryMb: 128, startedAt: T0, durationMs: 5, coldStart: false };
      const ends = await Promise.all(
        accepted
          .slice(0, 10)
          .map(({ head }, i) =>
            store.complete(
              { requestId: head.requestId, attempt: 1, nonce: `c${i}` },
              { attempt: { ...attempt, outcome: 'SUCCEEDED', fault: null }, result: { kind: 'inline', json: '1' } },
              { retry: { maxRetries: 0, baseDelayMs: 0, maxAgeSec: 60 }, jitter: 0, now: T0 },
            ),
          ),
      );
      expect(ends.every((end) => end.kind !== 'stale' && end.head.state === 'SUCCEEDED')).toBe(true);
      const page = await store.list({ tenantId, functionId, limit: 100 });
      expect(page.items.map((head) => head.attempts.length)).toEqual(Array(10).fill(1));
    });

    it('between two batches, nothing is noticed', async () => {
      const db = await open();
      await audit(db, 'before');
      db.endWriterThread();
      await audit(db, 'after');
      expect(await audited(db)).toEqual(['after', 'before']);
    });

    it('again and again by one batch, that batch is refused and the store goes on', async () => {
      const db = await open({ killSwitch: { point: 'in-transaction', batch: 0, times: 3 } });
      await expect(audit(db, 'deadly')).rejects.toThrow(PlatformFault);
      await audit(db, 'harmless');
      expect(await audited(db)).toEqual(['harmless']);
    });
  });

  describe('its data folder', () => {
    it('belongs to one platform, and the refusal names folder and process', async () => {
      const folder = newFolder();
      await open({}, folder);
      const refused = Database.open(folder);
      await expect(refused).rejects.toThrow(FolderInUse);
      await expect(refused).rejects.toThrow(folder);
      await expect(refused).rejects.toThrow(`process ${process.pid}`);
      // The attempt of this process must not have loosened the lock against others.
      const other = spawnSync(process.execPath, ['--import', 'tsx', join(__dirname, 'hold-folder.ts'), folder], { encoding: 'utf8' });
      expect(other.stderr).toContain('FolderInUse');
    });

    it('is free again after close', async () => {
      const folder = newFolder();
      await audit(await open({}, folder), 'kept');
      await opened.pop()!.close();
      expect(await audited(await open({}, folder))).toEqual(['kept']);
    });

    it('is free again after kill -9', async () => {
      const folder = newFolder();
      const holder = spawn(process.execPath, ['--import', 'tsx', join(__dirname, 'hold-folder.ts'), folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(holder.stdout, 'data');
      await expect(Database.open(folder)).rejects.toThrow(`process ${holder.pid}`);
      holder.kill('SIGKILL');
      await once(holder, 'exit');
      await open({}, folder);
    });
  });

  describe('when the disk', () => {
    it('has less room than the floor, new work is refused and running work is still recorded', async () => {
      const db = await open({ diskFloorBytes: Number.MAX_SAFE_INTEGER });
      expect(db.health()).toMatchObject({ ok: false, why: expect.stringContaining('MB free') });
      const store = new EmbeddedInvocations(db);
      await expect(store.accept({} as never)).rejects.toThrow(PlatformFault);
      await audit(db, 'still recorded');
    });

    const mounted = process.getuid?.() === 0 && process.platform === 'linux';
    (mounted ? it : it.skip)('is full, writes are refused, and taken again once there is room', async () => {
      const folder = newFolder();
      const disk = join(folder, 'disk');
      mkdirSync(disk);
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]).status !== 0) return;
      const told: Health[] = [];
      try {
        const db = await open({ diskFloorBytes: 0 }, disk);
        db.onFault((health) => told.push(health));
        const text = 'x'.repeat(200_000);
        const acknowledged: string[] = [];
        for (let i = 0; told.length === 0 && i < 1000; i += 1) {
          await audit(db, `${i}${text}`).then(
            () => acknowledged.push(`${i}`),
            (error) => expect(error).toBeInstanceOf(PlatformFault),
          );
        }
        expect(told[0]).toMatchObject({ ok: false, why: expect.stringContaining('disk is full') });
        expect(spawnSync('mount', ['-o', 'remount,size=200m', disk]).status).toBe(0);
        while (told.length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
        expect(told[1]).toEqual({ ok: true });
        await audit(db, 'after');
        const kept = (await audited(db)).map((target) => target.replace(text, ''));
        expect(kept.sort()).toEqual([...acknowledged, 'after'].sort());
      } finally {
        await opened.pop()?.close();
        spawnSync('umount', [disk]);
      }
    });
  });

  describe('a file that', () => {
    it('is no database is refused with the reason', async () => {
      const folder = newFolder();
      writeFileSync(join(folder, 'fns.db'), 'x'.repeat(8192));
      await expect(Database.open(folder)).rejects.toThrow(/damaged/);
      await expect(Database.open(folder)).rejects.toThrow(PlatformFault);
    });

    it('cannot be opened is refused with the reason', async () => {
      const folder = newFolder();
      mkdirSync(join(folder, 'fns.db'));
      await expect(Database.open(folder)).rejects.toThrow(/cannot be opened/);
    });

    it('is damaged in the middle is never read as if it were whole', async () => {
      const folder = newFolder();
      const first = await open({}, folder);
      for (let i = 0; i < 400; i += 1) void audit(first, `${i} ${'x'.repeat(1000)}`);
      await audit(first, 'last');
      await opened.pop()!.close();
      const file = openSync(join(folder, 'fns.db'), 'r+');
      for (let page = 80; page < 160; page += 1) writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096);
      closeSync(file);
      const db = await open({}, folder).catch((error) => error);
      if (db instanceof Database) await expect(audited(db)).rejects.toThrow(PlatformFault);
      else expect(db).toBeInstanceOf(PlatformFault);
    });
  });
});
