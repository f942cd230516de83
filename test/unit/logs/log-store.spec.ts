import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import type { LogLine } from '../../../lib/core/logs/model.js';
import { LogStore } from '../../../lib/embedded/logs/log-store.js';

const T0 = Date.parse('2026-03-01T12:00:00Z');
const HOUR_MS = 3_600_000;
const retention = { hotMs: 72 * HOUR_MS, archiveMs: 90 * 24 * HOUR_MS };
const owner = { tenantId: asTenantId('acme'), functionId: asFunctionId('fn_one') };
const line = (message: string, timeMs = T0): LogLine => ({ ...owner, version: '1', requestId: '', timeMs, stream: 'stdout', message });

describe('the store of log lines', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fns-log-store-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (more: Partial<ConstructorParameters<typeof LogStore>[1]> = {}) => new LogStore(folder, { ...retention, ...more });
  const read = async (store: LogStore): Promise<string[]> =>
    (await store.search({ ...owner, limit: 1000, fromMs: 0 })).lines.map(({ message }) => message);
  const filesIn = (name: string): string[] => readdirSync(join(folder, name));

  it('keeps lines searchable while the disk takes none, says so, and goes on when it does again', async () => {
    const store = open();
    renameSync(join(folder, 'hot'), join(folder, 'away'));
    store.append([line('in memory')]);
    expect(store.fault).toMatch(/can't be written \(ENOENT\)/);
    expect(await read(store)).toEqual(['in memory']);
    renameSync(join(folder, 'away'), join(folder, 'hot'));
    store.append([line('in the file')]);
    expect(store.fault).toBeUndefined();
    store.close();
    const next = open();
    expect(await read(next)).toEqual(['in the file']);
    next.append([line('after')]);
    // Numbers never come twice, though the file lacks some.
    const { lines } = await next.search({ ...owner, limit: 10 });
    expect(lines.map(({ seq }) => seq)).toEqual([2, 3]);
    next.close();
  });

  it('gives lines up, counted, where the disk takes none for long', async () => {
    const store = open({ sealChars: 1024 * 1024 });
    rmSync(join(folder, 'hot'), { recursive: true });
    for (let n = 0; n < 40; n += 1) store.append(Array.from({ length: 16 }, () => line('x'.repeat(64 * 1024))));
    expect(store.lost).toBeGreaterThan(0);
    expect((await read(store)).length).toBeLessThan(16 * 40);
    mkdirSync(join(folder, 'hot'));
    store.append([line('again')]);
    expect([store.fault, (await read(store)).at(-1)]).toEqual([undefined, 'again']);
    store.close();
  });

  it('gives what it has found after its time, with a cursor to go on from', async () => {
    const store = open({ sealChars: 10_000, searchMs: 0 });
    for (let n = 0; n < 1_000; n += 1) store.append([line(`line ${n}`)]);
    const seqs: number[] = [];
    let pages = 0;
    for (let beyondSeq: number | undefined; ; pages += 1) {
      const hits = await store.search({ ...owner, limit: 1_000, beyondSeq });
      seqs.push(...hits.lines.map(({ seq }) => seq));
      if (hits.nextSeq === undefined) break;
      beyondSeq = hits.nextSeq;
    }
    expect(pages).toBeGreaterThan(3);
    expect(seqs).toEqual(Array.from({ length: 1_000 }, (_, n) => n + 1));
    store.close();
  });

  it('ends a sealing that a kill cut short: nothing is lost, nothing is there twice', async () => {
    const first = open();
    first.append([line('one'), line('two')]);
    const [tail] = filesIn('hot');
    const bytes = readFileSync(join(folder, 'hot', tail as string));
    await first.maintain(T0 + HOUR_MS);
    first.close();
    // As if killed between the segment's name and the tail's end; and a half-written segment lies about.
    writeFileSync(join(folder, 'hot', tail as string), bytes);
    writeFileSync(join(folder, 'hot', 'half.tmp'), 'x');
    const second = open();
    expect(await read(second)).toEqual(['one', 'two']);
    expect(filesIn('hot').filter((name) => !name.endsWith('.seg'))).toEqual([]);
    second.close();
  });

  it('ends an archiving that a kill cut short', async () => {
    const first = open();
    first.append([line('one')]);
    await first.maintain(T0 + HOUR_MS);
    const [segment] = filesIn('hot');
    const bytes = readFileSync(join(folder, 'hot', segment as string));
    await first.maintain(T0 + 100 * HOUR_MS);
    first.close();
    expect(filesIn('hot')).toEqual([]);
    writeFileSync(join(folder, 'hot', segment as string), bytes);
    const second = open();
    expect(await read(second)).toEqual(['one']);
    expect([filesIn('hot').length, filesIn('archive').length]).toEqual([0, 1]);
    second.close();
  });

  it('merges the many small segments of an hour', async () => {
    const store = open({ sealAfterMs: 0 });
    for (let n = 0; n < 30; n += 1) {
      store.append([line(`line ${n}`, T0 + n)]);
      await store.maintain(T0 + n);
    }
    expect(filesIn('hot')).toHaveLength(30);
    await store.maintain(T0 + HOUR_MS);
    expect(filesIn('hot')).toHaveLength(1);
    expect(await read(store)).toEqual(Array.from({ length: 30 }, (_, n) => `line ${n}`));
    store.close();
  });

  it('lines of a clock that stepped back are found by their own time', async () => {
    const store = open({ sealAfterMs: 0 });
    store.append([line('later', T0 + HOUR_MS)]);
    await store.maintain(T0 + HOUR_MS);
    store.append([line('earlier', T0)]);
    await store.maintain(T0 + HOUR_MS);
    await store.maintain(T0 + 80 * HOUR_MS);
    expect(await read(store)).toEqual(['later', 'earlier']);
    expect((await store.search({ ...owner, limit: 10, fromMs: T0, toMs: T0 + 1 })).lines.map(({ message }) => message)).toEqual([
      'earlier',
    ]);
    store.close();
  });
});
