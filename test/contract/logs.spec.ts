import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { asFunctionId, asRequestId, asTenantId, timePrefix } from '../../lib/core/ids.js';
import type { LogFollow, LogLine, LogQuery, LogReader, LogSink } from '../../lib/core/logs/model.js';
import { systemClock } from '../../lib/embedded/clock.js';
import { SegmentLogs } from '../../lib/embedded/logs/segment-logs.js';

const DAY_MS = 24 * 3_600_000;
const T0 = Date.parse('2026-03-01T12:00:00Z');

interface Opened extends LogSink, LogReader {
  maintain(now: number): Promise<void>;
  close(): Promise<void>;
}

/** What every adapter of the log ports must do. */
function logsContract(adapter: string, open: (folder: string) => Opened): void {
  describe(`logs, ${adapter}`, () => {
    const folders: string[] = [];
    let logs: Opened;
    const folder = (): string => folders.at(-1) as string;

    beforeEach(() => {
      folders.push(mkdtempSync(join(tmpdir(), 'fns-logs-')));
      logs = open(folder());
    });
    afterEach(async () => {
      await logs.close();
      for (const each of folders.splice(0)) rmSync(each, { recursive: true, force: true });
    });

    const tenantId = asTenantId('acme');
    const functionId = asFunctionId('fn_one');
    const line = (message: string, more: Partial<LogLine> = {}): LogLine => ({
      ...{ tenantId, functionId, version: '$LATEST', requestId: asRequestId('req_a'), timeMs: T0, stream: 'stdout', message },
      ...more,
    });
    const query = (more: Partial<LogQuery> = {}): LogQuery => ({ tenantId, functionId, limit: 100, ...more });
    const texts = async (more: Partial<LogQuery> = {}): Promise<string[]> =>
      (await logs.search(query(more))).items.map(({ message }) => message);
    const allPages = async (more: Partial<LogQuery> = {}): Promise<string[]> => {
      const found: string[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = await logs.search(query({ ...more, cursor }));
        expect(page.items.length).toBeLessThanOrEqual(more.limit ?? 100);
        found.push(...page.items.map(({ message }) => message));
        if (page.nextCursor === undefined) return found;
        cursor = page.nextCursor;
      }
    };
    const numbered = (count: number, prefix = 'line'): string[] => Array.from({ length: count }, (_, n) => `${prefix} ${n}`);

    it('finds a line at once after it was appended, as it was', async () => {
      const whole = line('said ünï 🙂 "quoted" \\ \n two lines', { stream: 'stderr', version: '3' });
      logs.append(whole);
      expect((await logs.search(query())).items).toEqual([expect.objectContaining(whole)]);
    });

    it('shows nobody another tenant or another function', async () => {
      logs.append(line('mine'));
      logs.append(line('other function', { functionId: asFunctionId('fn_two') }));
      logs.append(line('other tenant', { tenantId: asTenantId('evil') }));
      expect(await texts()).toEqual(['mine']);
    });

    it('filters by request, time and text', async () => {
      logs.append(line('apple', { timeMs: T0 }));
      logs.append(line('pear', { timeMs: T0 + 10, requestId: asRequestId('req_b') }));
      logs.append(line('apple pie', { timeMs: T0 + 20, requestId: asRequestId('req_b') }));
      expect(await texts({ requestId: 'req_b' })).toEqual(['pear', 'apple pie']);
      expect(await texts({ q: 'apple' })).toEqual(['apple', 'apple pie']);
      expect(await texts({ q: 'nobody said this' })).toEqual([]);
      expect(await texts({ fromMs: T0 + 10, toMs: T0 + 20 })).toEqual(['pear']);
      expect(await texts({ q: '"' })).toEqual([]);
    });

    it('gives the oldest first, or the newest first, and each line once over all pages', async () => {
      const wanted = numbered(250);
      for (const message of wanted) logs.append(line(message));
      expect(await allPages({ limit: 100 })).toEqual(wanted);
      expect(await allPages({ limit: 7 })).toEqual(wanted);
      expect(await allPages({ limit: 100, order: 'desc' })).toEqual([...wanted].reverse());
    });

    it('pages go on over lines that come meanwhile', async () => {
      for (const message of numbered(5)) logs.append(line(message));
      const page = await logs.search(query({ limit: 3 }));
      for (const message of numbered(3, 'later')) logs.append(line(message));
      expect(await texts({ cursor: page.nextCursor })).toEqual(['line 3', 'line 4', ...numbered(3, 'later')]);
    });

    it.each(['', 'zz', 'e30', '__proto__', '\0'])('refuses the cursor %j', async (cursor) => {
      await expect(logs.search(query({ cursor }))).rejects.toMatchObject({ status: 422, code: 'FNS_422_INVALID' });
    });

    it('keeps no secret: lines are redacted before they are stored', async () => {
      logs.append(line('login with password=hunter2 and Bearer abc.def.0123456789'));
      for (const message of ['-----BEGIN RSA PRIVATE KEY-----', 'MIIEpAIBAAKCAQEA', '-----END RSA PRIVATE KEY-----', 'after'])
        logs.append(line(message));
      expect(await texts()).toEqual([
        'login with password=[redacted:secret] and Bearer [redacted:token]',
        ...['[redacted:private-key]', '[redacted:private-key]', '[redacted:private-key]', 'after'],
      ]);
      await logs.close();
      logs = open(folder());
      expect((await texts({ q: 'hunter2' })).length + (await texts({ q: 'MIIE' })).length).toBe(0);
    });

    it('has everything again after it was closed and opened', async () => {
      for (const message of numbered(20)) logs.append(line(message));
      await logs.close();
      logs = open(folder());
      logs.append(line('after'));
      expect(await texts()).toEqual([...numbered(20), 'after']);
    });

    it('searches what was sealed, merged and archived as if it were new', async () => {
      const wanted = numbered(3_000).map((message) => `${message} ${'x'.repeat(200)}`);
      for (const [n, message] of wanted.entries()) {
        logs.append(line(message, { timeMs: T0 + n, requestId: asRequestId(`req_${n % 7}`) }));
        logs.append(line(`neighbour ${n}`, { functionId: asFunctionId('fn_two'), timeMs: T0 + n }));
      }
      for (const now of [T0 + 3_600_000 * 2, T0 + 4 * DAY_MS]) {
        await logs.maintain(now);
        const since = { fromMs: T0 };
        expect(await allPages(since)).toEqual(wanted);
        expect(await allPages({ order: 'desc', limit: 999 })).toEqual([...wanted].reverse());
        expect(await allPages({ requestId: 'req_3', ...since })).toEqual(wanted.filter((_, n) => n % 7 === 3));
        expect(await allPages({ fromMs: T0 + 1_000, toMs: T0 + 1_003 })).toEqual(wanted.slice(1_000, 1_003));
        await logs.close();
        logs = open(folder());
      }
    });

    it('removes lines after 90 days', async () => {
      logs.append(line('old'));
      await logs.maintain(T0 + DAY_MS);
      await logs.maintain(T0 + 89 * DAY_MS);
      expect(await texts({ fromMs: T0 })).toEqual(['old']);
      await logs.maintain(T0 + 91 * DAY_MS);
      expect(await texts({ fromMs: T0 })).toEqual([]);
    });

    it('finds an archived request by its id alone, for the id tells its time', async () => {
      const requestId = asRequestId(`req_${timePrefix(T0)}abcdefghijklmnop`);
      logs.append(line('long ago', { requestId }));
      await logs.maintain(T0 + 4 * DAY_MS);
      expect(await texts({ requestId })).toEqual(['long ago']);
      expect(await texts()).toEqual([]);
    });

    describe('following', () => {
      const until = async (what: () => boolean): Promise<void> => {
        for (const end = Date.now() + 5_000; !what(); ) {
          if (Date.now() > end) throw new Error('waited in vain');
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      };
      function follow(more: Partial<LogFollow> = {}): { got: string[]; stop(): Promise<void> } {
        const controller = new AbortController();
        const got: string[] = [];
        const done = (async () => {
          for await (const { message } of logs.follow({ tenantId, functionId, ...more }, controller.signal)) got.push(message);
        })();
        return {
          got,
          stop: async () => {
            controller.abort();
            await done;
          },
        };
      }

      it('gives new lines and no old ones, of this function only', async () => {
        logs.append(line('before'));
        const { got, stop } = follow();
        await texts();
        logs.append(line('other', { functionId: asFunctionId('fn_two') }));
        logs.append(line('now'));
        await until(() => got.length > 0);
        await stop();
        expect(got).toEqual(['now']);
      });

      it('gives the old ones first where a time is given, each line once', async () => {
        const wanted = numbered(3_000);
        for (const message of wanted.slice(0, 1_500)) logs.append(line(message));
        const { got, stop } = follow({ fromMs: T0 });
        for (const message of wanted.slice(1_500)) logs.append(line(message));
        await until(() => got.length >= wanted.length);
        await stop();
        expect(got).toEqual(wanted);
      });

      it('filters, and ends when the reader goes', async () => {
        const { got, stop } = follow({ q: 'yes', requestId: 'req_b' });
        await texts();
        logs.append(line('yes, but another request'));
        logs.append(line('no', { requestId: asRequestId('req_b') }));
        logs.append(line('yes', { requestId: asRequestId('req_b') }));
        await until(() => got.length > 0);
        await stop();
        expect(got).toEqual(['yes']);
      });

      it('tells a slow reader how many lines it missed, and holds no more for it', async () => {
        const reading = logs.follow({ tenantId, functionId }, AbortSignal.timeout(20_000))[Symbol.asyncIterator]();
        const first = reading.next();
        await texts();
        logs.append(line('first'));
        expect((await first).value).toMatchObject({ message: 'first' });
        for (const message of numbered(8_000)) logs.append(line(message));
        await texts({ order: 'desc', limit: 1 });
        const got: LogLine[] = [];
        while (got.at(-1)?.stream !== 'platform') got.push((await reading.next()).value as LogLine);
        expect(got.length).toBeLessThan(8_000);
        expect(got.at(-1)?.message).toMatch(/^\d+ lines are left out here/);
        await reading.return?.(undefined);
      });
    });
  });
}

logsContract('segments on this machine', (folder) => SegmentLogs.open(folder, systemClock, { sealChars: 100_000, sealAfterMs: 0 }));

describe('log segments after a crash', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-logs-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const line = (message: string): LogLine => ({
    ...{
      tenantId: asTenantId('acme'),
      functionId: asFunctionId('fn_one'),
      version: '$LATEST',
      requestId: '',
      timeMs: T0,
      stream: 'stdout',
      message,
    },
  });
  const read = async (logs: SegmentLogs): Promise<string[]> =>
    (await logs.search({ tenantId: asTenantId('acme'), functionId: asFunctionId('fn_one'), limit: 100 })).items.map(
      ({ message }) => message,
    );

  it('cuts a torn tail off and keeps what is whole', async () => {
    const first = SegmentLogs.open(folder, systemClock);
    first.append(line('whole'));
    await read(first);
    first.append(line('torn'));
    await first.close();
    const hot = join(folder, 'logs', 'hot');
    const tail = join(hot, readdirSync(hot).find((name) => name.endsWith('.tail')) as string);
    truncateSync(tail, statSync(tail).size - 3);
    const second = SegmentLogs.open(folder, systemClock);
    expect(await read(second)).toEqual(['whole']);
    second.append(line('next'));
    expect(await read(second)).toEqual(['whole', 'next']);
    await second.close();
  });

  it('leaves a damaged segment out, and counts it', async () => {
    const hot = join(folder, 'logs', 'hot');
    for (const name of readdirSync(hot).filter((each) => each.endsWith('.seg'))) truncateSync(join(hot, name), 20);
    const logs = SegmentLogs.open(folder, systemClock);
    logs.append(line('new'));
    expect(await read(logs)).not.toContain('whole');
    expect(await read(logs)).toContain('new');
    logs.append(line('told'));
    await read(logs);
    expect(logs.health()).toMatchObject({ ok: true, damaged: 1 });
    await logs.close();
  });

  it('starts its thread again when it died; what was in the files is there, and followers go on', async () => {
    const logs = SegmentLogs.open(folder, systemClock);
    const ends = new AbortController();
    const got: string[] = [];
    const following = (async () => {
      const query = { tenantId: asTenantId('acme'), functionId: asFunctionId('fn_one') };
      for await (const { message } of logs.follow(query, ends.signal)) got.push(message);
    })();
    logs.append(line('before'));
    expect(await read(logs)).toContain('before');
    const { worker } = logs as unknown as { worker: Worker };
    await worker.terminate();
    expect(logs.health().ok).toBe(false);
    await expect(read(logs)).rejects.toThrow('not running');
    for (const end = Date.now() + 5_000; !logs.health().ok && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 20));
    logs.append(line('after'));
    expect(await read(logs)).toEqual(expect.arrayContaining(['before', 'after']));
    for (const end = Date.now() + 5_000; !got.includes('after') && Date.now() < end; )
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(got).toEqual(['before', 'after']);
    ends.abort();
    await following;
    await logs.close();
  });
});
