import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Answer, Platform, until } from '../platform.js';

const MB = 1024 * 1024;
const canMount = process.platform === 'linux' && process.getuid?.() === 0;

/** A disk of its own for the data folder, so that it can be filled to the last byte. */
class SmallDisk {
  readonly folder = mkdtempSync(join(tmpdir(), 'fns-disk-'));
  private readonly filler = join(this.folder, 'filler');

  constructor(megabytes: number) {
    const made = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0755`, 'tmpfs', this.folder], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(made.stderr);
  }

  /** Until so much is left. */
  fill(leaveBytes = 0): void {
    const { stdout } = spawnSync('df', ['--block-size=1', '--output=avail', this.folder], { encoding: 'utf8' });
    let left = Number(stdout.split('\n')[1]) - leaveBytes;
    const file = openSync(this.filler, 'a');
    try {
      while (left > 0) left -= writeSync(file, Buffer.alloc(Math.min(left, MB)));
    } catch {
      // Full already.
    } finally {
      closeSync(file);
    }
  }

  clear(): void {
    rmSync(this.filler, { force: true });
  }

  remove(): void {
    spawnSync('umount', ['--lazy', this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

(canMount ? describe : describe.skip)('a disk that', () => {
  let disk: SmallDisk;
  let platform: Platform;

  const start = async (megabytes: number, floorMb: number) => {
    disk = new SmallDisk(megabytes);
    const dataDir = join(disk.folder, 'data');
    mkdirSync(dataDir, { mode: 0o700 });
    platform = new Platform({ FNS_DATA_DIR: dataDir, FNS_DISK_FLOOR_MB: String(floorMb) });
    await platform.start();
  };
  afterEach(async () => {
    await platform.dispose();
    disk.remove();
  });

  const readyz = () => platform.call('GET', '/readyz', { root: true });
  const isRefused = (answer: Answer) => {
    expect([answer.status, answer.json?.code, answer.headers.get('content-type')]).toEqual([
      503,
      expect.stringMatching(/^FNS_503_(STORE|PLATFORM)$/),
      'application/problem+json',
    ]);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(answer.text).not.toMatch(/fns-disk|SQLITE|node:/);
  };
  /** One call of each kind that leaves something in the store. */
  const eachKind = async (functionId: string, n: number): Promise<Record<string, Answer>> => ({
    sync: await platform.sync(functionId, n),
    keyed: await platform.sync(functionId, n, { 'idempotency-key': `k${n}` }),
    async: await platform.call('POST', `/functions/${functionId}/invoke`, { body: { payload: n } }),
    site: await platform.call('POST', '/http/default/echo', { body: String(n), root: true, key: null }),
    queue: await platform.call('POST', '/queues/q/messages', { body: { messages: [{ id: `m${n}`, body: `${n}` }] } }),
    control: await platform.call('PATCH', `/functions/${functionId}`, { body: { description: `${n}` } }),
    code: await platform.call('PUT', `/functions/${functionId}/code`, {
      body: { files: { 'index.js': `exports.handler = async (e) => e; // ${n}` } },
    }),
  });
  const echo = async () => {
    const { functionId } = await platform.function('exports.handler = async (e) => { console.log(e); return e; };');
    await platform.ok('POST', `/functions/${functionId}/triggers`, { type: 'http', path: '/echo', methods: ['POST'], auth: 'none' });
    return functionId as string;
  };

  it('comes near its end stops new work before anything can fail; what runs is still recorded', async () => {
    await start(256, 64);
    const functionId = await echo();
    const slow = await platform.function('exports.handler = async () => { await new Promise((r) => setTimeout(r, 2500)); return 1; };', {
      timeoutSec: 20,
    });
    const running = platform.sync(slow.functionId, null, { 'idempotency-key': 'slow' });
    await until('it runs', async () => (await platform.all(`/functions/${slow.functionId}/invocations`)).length === 1);
    disk.fill(32 * MB);
    const answer = await until('readiness fails', async () => {
      const now = await readyz();
      return now.status === 503 && now;
    });
    expect(answer.json).toMatchObject({ ready: false, checks: { store: { ok: false, detail: expect.stringMatching(/\d+ MB free/) } } });
    expect((await platform.call('GET', '/healthz', { root: true })).status).toBe(200);
    const { sync, keyed, async, site, queue } = await eachKind(functionId, 1);
    for (const refused of [sync, keyed, async, site, queue]) isRefused(refused as Answer);
    expect(await platform.all(`/functions/${functionId}/invocations`)).toEqual([]);
    expect((await running).json).toMatchObject({ status: 'SUCCEEDED', result: 1 });
    disk.clear();
    await until('it is ready again', async () => (await readyz()).status === 200);
    const after = await eachKind(functionId, 1);
    expect(Object.values(after).every(({ status }) => status < 300)).toBe(true);
    // The refused call had used up no key.
    expect(after.keyed?.headers.get('idempotency-replayed')).toBeNull();
  });

  it('is full to the last byte never makes a false success, and all goes on once there is room', async () => {
    await start(96, 0);
    const functionId = await echo();
    const running = await platform.function(
      "exports.handler = async () => { await new Promise((r) => setTimeout(r, 3000)); return 'done'; };",
      {
        timeoutSec: 10,
      },
    );
    const inTheAir = await platform.send(running.functionId, null);
    await until('it runs', async () => (await platform.ok('GET', `/invocations/${inTheAir}`)).state === 'RUNNING');
    const claims: { kind: string; n: number; answer: Answer }[] = [];
    const refused = new Set<string>();
    const round = async (n: number) => {
      disk.fill();
      for (const [kind, answer] of Object.entries(await eachKind(functionId, n))) {
        if (answer.status < 300) claims.push({ kind, n, answer });
        else {
          isRefused(answer);
          refused.add(kind);
        }
      }
    };
    // The log of the database has room of its own for a while.
    const large = 'x'.repeat(20_000);
    await until('a write fails', async () => {
      disk.fill();
      const answer = await platform.call('POST', `/functions/${functionId}/invoke`, { body: { payload: large } });
      if (answer.status >= 300) isRefused(answer);
      return answer.status === 503;
    });
    // Longer than the heartbeat (5 s), the sweep (10 s) and their neighbours: none of them may end the process.
    const end = Date.now() + 13_000;
    for (let n = 1; Date.now() < end; n += 1) {
      await round(n);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const answer = await readyz();
    expect([answer.status, answer.json.checks.store.detail]).toEqual([503, expect.stringMatching(/disk is full|disk/)]);
    expect([...refused].sort()).toEqual(['async', 'code', 'control', 'keyed', 'queue', 'site', 'sync']);

    disk.clear();
    await until('it is ready again', async () => (await readyz()).status === 200);
    for (const { kind, n, answer: claimed } of claims) {
      const { requestId } = claimed.json ?? {};
      if (requestId) expect([kind, n, (await platform.finished(requestId)).state]).toEqual([kind, n, 'SUCCEEDED']);
    }
    expect(await platform.finished(inTheAir, 50_000)).toMatchObject({ state: 'SUCCEEDED', result: 'done' });
    const later = await eachKind(functionId, 1_000_000);
    expect(Object.entries(later).filter(([, { status }]) => status >= 300)).toEqual([]);
    expect((await platform.sync(functionId, 1, { 'idempotency-key': 'k1' })).json).toMatchObject({ status: 'SUCCEEDED', result: 1 });
  }, 120_000);
});
