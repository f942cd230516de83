import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Platform, until } from '../platform.js';

const HOUR_MS = 3_600_000;

/** The machine's clock is set while the platform runs: nobody's call waits for the time that is gone, and nothing runs or bills twice. */
describe('a clock that is set', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-clock-'));
  const file = join(folder, 'shift-ms');
  const platform = new Platform({
    NODE_OPTIONS: `--require ${join(__dirname, 'shifted-clock.cjs')}`,
    FNS_TEST_CLOCK_FILE: file,
  });
  let shiftMs = 0;

  beforeAll(async () => {
    writeFileSync(file, '0');
    await platform.start();
  });
  afterAll(async () => {
    await platform.dispose();
    rmSync(folder, { recursive: true });
  });

  /** Takes effect in all threads within 20 ms. */
  const step = async (ms: number) => {
    shiftMs += ms;
    writeFileSync(file, String(shiftMs));
    await new Promise((resolve) => setTimeout(resolve, 100));
  };

  it.each([
    ['back an hour', -HOUR_MS],
    ['forward two hours', 2 * HOUR_MS],
    ['back by two seconds', -2_000],
  ])('%s: work that waits goes on, retries come, keys hold, and the bill is what ran', async (_way, ms) => {
    const slow = await platform.function(
      "exports.handler = async (e) => { console.log('ran', e); await new Promise((r) => setTimeout(r, 300)); return e; };",
      { concurrency: { max: 1 } },
    );
    const failsOnce = await platform.function(
      "exports.handler = async (e, { attempt }) => { if (attempt === 1) throw new Error('once'); return attempt; };",
    );
    const counter = await platform.function('let n = 0; exports.handler = async () => { n += 1; return n; };');
    const first = await platform.sync(counter.functionId, 1, { 'idempotency-key': 'before' });
    const backlog = await Promise.all(Array.from({ length: 8 }, (_, n) => platform.send(slow.functionId, n)));
    const retried = await platform.send(failsOnce.functionId, null);

    await step(ms);

    const started = performance.now();
    const heads = await Promise.all([...backlog, retried].map((requestId) => platform.finished(requestId, 12_000)));
    expect(performance.now() - started).toBeLessThan(12_000);
    expect(heads.map(({ state, attempts }) => [state, attempts.length])).toEqual([...Array(8).fill(['SUCCEEDED', 1]), ['SUCCEEDED', 2]]);

    const again = await platform.sync(counter.functionId, 1, { 'idempotency-key': 'before' });
    expect([again.headers.get('idempotency-replayed'), again.json.requestId, again.json.result]).toEqual(['true', first.json.requestId, 1]);
    const fresh = await platform.sync(counter.functionId, 1, { 'idempotency-key': 'after' });
    const repeat = await platform.sync(counter.functionId, 1, { 'idempotency-key': 'after' });
    expect([fresh.json.result, repeat.json.result, repeat.json.requestId]).toEqual([2, 2, fresh.json.requestId]);
    for (const { durationMs, billedMs } of [fresh.json, ...heads.flatMap((head) => head.attempts)]) {
      expect(durationMs).toBeGreaterThanOrEqual(0);
      expect(durationMs).toBeLessThan(5_000);
      expect(billedMs).toBe(Math.max(1, Math.ceil(durationMs)));
    }
    const { items } = await platform.ok('GET', '/usage?groupBy=function');
    const { requests, billedMs } = items.find(({ key }: { key: string }) => key === slow.functionId);
    const ran = heads.slice(0, 8).reduce((sum, head) => sum + head.billedMs, 0);
    expect([requests, billedMs]).toEqual([8, ran]);
    const lines = await until('the lines are there', async () => {
      const all = await platform.all(`/functions/${slow.functionId}/logs`);
      return all.length >= 8 && all;
    });
    expect(lines.map(({ message }) => message).sort()).toEqual(Array.from({ length: 8 }, (_, n) => `ran ${n}`));
    expect((await platform.call('GET', '/readyz', { root: true })).status).toBe(200);
  });

  it('forward by two hours: a call that runs meanwhile is not taken for a dead one', async () => {
    const { functionId } = await platform.function(
      "exports.handler = async () => { console.log('ran'); await new Promise((r) => setTimeout(r, 11_000)); return 1; };",
      { timeoutSec: 60 },
    );
    const requestId = await platform.send(functionId, null);
    await until('it runs', async () => (await platform.ok('GET', `/invocations/${requestId}`)).state === 'RUNNING');
    await step(2 * HOUR_MS);
    const head = await platform.finished(requestId, 40_000);
    expect([head.state, head.attempts.length]).toEqual(['SUCCEEDED', 1]);
  });

  it('back an hour while the platform is down: what was accepted runs soon after the start', async () => {
    const { functionId } = await platform.function(
      'exports.handler = async (e) => { await new Promise((r) => setTimeout(r, 500)); return e; };',
      {
        concurrency: { max: 1 },
      },
    );
    const sent = await Promise.all(Array.from({ length: 5 }, (_, n) => platform.send(functionId, n)));
    await platform.kill();
    await step(-HOUR_MS);
    await platform.start();
    for (const requestId of sent) expect((await platform.finished(requestId, 12_000)).state).toBe('SUCCEEDED');
  });
});
