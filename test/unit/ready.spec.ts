import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

/** The real scripts/ready.mjs in a checkout whose bundling only takes its time and notes that it ran. */
describe('a checkout is made ready', () => {
  const root = mkdtempSync(join(tmpdir(), 'fns-ready-'));
  const log = join(root, 'log');
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  beforeEach(() => {
    for (const folder of ['scripts', 'lib', 'bin', 'runtimes', 'node_modules', 'dist']) mkdirSync(join(root, folder), { recursive: true });
    cpSync(join(ROOT, 'scripts', 'ready.mjs'), join(root, 'scripts', 'ready.mjs'));
    writeFileSync(join(root, 'package.json'), '{"name":"fns"}');
    writeFileSync(join(root, 'package-lock.json'), '{}');
    writeFileSync(join(root, 'node_modules', '.fns-lock'), createHash('sha256').update('{}').digest('hex'));
    rmSync(join(root, 'dist', '.built'), { force: true });
    writeFileSync(log, '');
    writeFileSync(join(root, 'scripts', 'build.mjs'), build(''));
  });

  const build = (meanwhile: string): string => `import { appendFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
export async function build() {
  appendFileSync(${JSON.stringify(log)}, 'begin ');
  ${meanwhile}
  await sleep(300);
  appendFileSync(${JSON.stringify(log)}, 'end ');
}`;
  const made = (): string => readFileSync(log, 'utf8').trim();
  const ready = (args: string[] = []): Promise<number | null> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [join(root, 'scripts', 'ready.mjs'), ...args], { stdio: 'ignore' });
      child.on('close', resolve);
    });

  it('once, however many commands begin at the same time', async () => {
    expect(await Promise.all([ready(), ready(), ready()])).toEqual([0, 0, 0]);
    expect(made()).toBe('begin end');
    expect(existsSync(join(root, '.fns-making'))).toBe(false);
  });

  it('by one after the other where each was asked to build', async () => {
    expect(await Promise.all([ready(['--build']), ready(['--build'])])).toEqual([0, 0]);
    expect(made()).toBe('begin end begin end');
  });

  it('although one that was making it has been killed', async () => {
    const gone = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => gone.once('close', resolve));
    writeFileSync(join(root, '.fns-making'), String(gone.pid));
    expect(await ready()).toBe(0);
    expect(made()).toBe('begin end');
  });

  it('again where a source changed while it was made', async () => {
    writeFileSync(join(root, 'scripts', 'build.mjs'), build(`writeFileSync(${JSON.stringify(join(root, 'lib', 'a.ts'))}, '1');`));
    await ready();
    await ready();
    expect(made()).toBe('begin end begin end');
  });
});
