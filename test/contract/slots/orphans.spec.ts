import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Leftovers } from '../../../lib/slots/leftovers';
import { isAlive } from './rig';

const ROOT = resolve(__dirname, '../../..');

describe('slots of a platform that was killed', () => {
  it('end by themselves, and those that were frozen with the next start', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fns-orphans-'));
    const script = join(ROOT, 'test/contract/slots/.orphans-parent.cjs');
    const flags = ['--bundle', '--platform=node', '--target=node20', '--format=cjs', '--log-level=error', `--outfile=${script}`];
    execFileSync(join(ROOT, 'node_modules/esbuild/bin/esbuild'), [join(ROOT, 'test/contract/slots/orphans-parent.ts'), ...flags]);
    const record = join(folder, 'slots.pids');
    const parent = spawn(process.execPath, [script, record], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = (await once(parent.stdout, 'data')) as [Buffer];
    const { idle, spares } = JSON.parse(said.toString()) as { idle: number; spares: number[] };
    const busy = Number(readFileSync(`${record}.busy`, 'utf8'));
    expect([busy, idle, ...spares].every(isAlive)).toBe(true);
    expect(readFileSync(`/proc/${idle}/stat`, 'latin1').split(') ')[1]?.[0]).toBe('T');

    parent.kill('SIGKILL');
    await once(parent, 'exit');
    const deadline = Date.now() + 1000;
    const awake = [busy, ...spares.filter((pid) => pid !== idle)];
    while (awake.some(isRunning) && Date.now() < deadline) await new Promise((done) => setTimeout(done, 10));
    expect(awake.filter(isRunning)).toEqual([]);

    new Leftovers(record).sweep();
    while (isRunning(idle) && Date.now() < deadline + 1000) await new Promise((done) => setTimeout(done, 10));
    expect(isRunning(idle)).toBe(false);
    rmSync(folder, { recursive: true, force: true });
    rmSync(script, { force: true });
  });
});

/** A zombie that nobody has reaped yet has ended. */
function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0] !== 'Z';
  } catch {
    return false;
  }
}
