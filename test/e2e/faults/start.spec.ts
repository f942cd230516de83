import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ADMIN_KEY, Platform } from '../platform.js';
import { processTree } from './processes.js';

const ROOT = join(__dirname, '..', '..', '..');

/** A start that cannot succeed: it ends by itself, soon, and says in one line what to do. */
describe('npm start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-start-'));
  const platform = new Platform();
  beforeAll(() => platform.start());
  afterAll(async () => {
    await platform.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  const failingStart = (env: Record<string, string>): Promise<{ code: number | null; output: string; left: number }> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [join(ROOT, 'bin', 'start.mjs')], {
        cwd: ROOT,
        env: { ...process.env, FNS_PORT: '0', FNS_DATA_DIR: join(folder, 'data'), FNS_ADMIN_KEY: ADMIN_KEY, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      const timer = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), 20_000);
      let output = '';
      let tree: number[] = [];
      const watch = setInterval(() => {
        tree = [...new Set([...tree, ...processTree(child.pid as number).map(({ pid }) => pid)])];
      }, 20);
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      }
      child.on('close', async (code) => {
        clearTimeout(timer);
        clearInterval(watch);
        // The kernel ends slots with their parent, a moment later.
        for (let tries = 0; tries < 100 && tree.some(isRunning); tries += 1) await new Promise((done) => setTimeout(done, 20));
        resolve({ code, output, left: tree.filter(isRunning).length });
      });
    });
  const firstLine = (output: string): string => output.split('\n').find((line) => line.startsWith('fns: ')) ?? output;

  it('on a port in use names the port and the way out, and leaves nothing running and no folder locked', async () => {
    const holder = createServer();
    const port = await listening(holder);
    const { code, output, left } = await failingStart({ FNS_PORT: String(port) });
    holder.close();
    expect([code, left]).toEqual([1, 0]);
    expect(firstLine(output)).toMatch(new RegExp(`port ${port} .*in use.*FNS_PORT=`));
    expect(output).not.toMatch(/^\s+at /m);
    const next = new Platform({ FNS_DATA_DIR: join(folder, 'data') });
    try {
      await next.start();
    } finally {
      await next.dispose();
    }
  });

  it('a second time on the same data folder is refused with folder and process, and the first does not notice', async () => {
    const { functionId } = await platform.function('let n = 0; exports.handler = async () => { n += 1; return n; };');
    expect((await platform.sync(functionId, null)).json.result).toBe(1);
    const { code, output, left } = await failingStart({ FNS_DATA_DIR: platform.dataDir });
    expect([code, left]).toEqual([1, 0]);
    expect(firstLine(output)).toContain(platform.dataDir);
    expect(firstLine(output)).toContain(`process ${platform.child?.pid}`);
    expect(firstLine(output)).toContain('FNS_DATA_DIR');
    // The same slot still: nobody swept it away as a leftover.
    expect((await platform.sync(functionId, null)).json).toMatchObject({ result: 2, coldStart: false });
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['a port that is none', { FNS_PORT: 'http' }, /FNS_PORT=http.*whole number from 0 to 65535/],
    ['a port below its range', { FNS_PORT: '-1' }, /FNS_PORT=-1/],
    ['a tier that is none', { FNS_SANDBOX_TIER: 'Z' }, /FNS_SANDBOX_TIER=Z.*A, B, C/],
    ['an admin key that is too short', { FNS_ADMIN_KEY: 'short' }, /FNS_ADMIN_KEY.*16/],
    ['a host that is not here', { FNS_HOST: '203.0.113.7' }, /203\.0\.113\.7/],
  ])('with %s says which setting is wrong', async (_what, env, wanted) => {
    const { code, output, left } = await failingStart(env);
    expect([code, left]).toEqual([1, 0]);
    expect(firstLine(output)).toMatch(wanted);
    expect(output).not.toContain('short\n');
  });

  it('with a data folder that is a file, or a database that is damaged, says so and touches neither', async () => {
    const file = join(folder, 'a-file');
    writeFileSync(file, 'mine');
    const notAFolder = await failingStart({ FNS_DATA_DIR: file });
    expect([notAFolder.code, notAFolder.left]).toEqual([1, 0]);
    expect(firstLine(notAFolder.output)).toContain(file);
    const damaged = join(folder, 'damaged');
    mkdirSync(damaged);
    writeFileSync(join(damaged, 'fns.db'), 'no database at all, '.repeat(1000));
    const refused = await failingStart({ FNS_DATA_DIR: damaged });
    expect([refused.code, refused.left]).toEqual([1, 0]);
    expect(firstLine(refused.output)).toMatch(/damaged/);
    expect(statSync(join(damaged, 'fns.db')).size).toBe(20_000);
  });
});

/** Ended ones that nobody has collected yet are not. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)));
