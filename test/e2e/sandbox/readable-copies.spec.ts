import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { candidates } from '../../../lib/slots/sandbox/interpreters.js';
import { ReadableCopies } from '../../../lib/slots/sandbox/readable-copies.js';

describe('readable copies', () => {
  let home: string;
  const python = candidates().find(({ kind }) => kind === 'python')?.path ?? 'python3';

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'fns-private-'));
    mkdirSync(join(home, 'ours', '_fns_runtime'), { recursive: true, mode: 0o700 });
    writeFileSync(join(home, 'ours', 'start.py'), 'import sys', { mode: 0o600 });
    writeFileSync(join(home, 'ours', '_fns_runtime', 'part.py'), 'A = 1', { mode: 0o600 });
    writeFileSync(join(home, 'ours', 'unrelated.js'), 'secret');
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const copied = async (): Promise<string> => {
    const copies = new ReadableCopies(join(home, 'runtime'));
    const command = copies.command([python, '-I', '-X', 'utf8', join(home, 'ours', 'start.py')]);
    await copies.settled();
    expect(command.slice(0, 4)).toEqual([python, '-I', '-X', 'utf8']);
    expect(copies.command([python, join(home, 'ours', 'start.py')])[1]).toBe(command[4]);
    return command[4]!;
  };

  it('bring the parts of a bootstrap with it, compiled, and nothing else', async () => {
    const entry = await copied();
    expect(readdirSync(dirname(entry)).sort()).toEqual(['_fns_runtime', 'start.py']);
    const parts = join(dirname(entry), '_fns_runtime');
    expect(readdirSync(parts).sort()).toEqual(['__pycache__', 'part.py']);
    const [compiled] = readdirSync(join(parts, '__pycache__'));
    expect(compiled).toMatch(/^part\.cpython-\d+\.pyc$/);
    for (const path of [entry, join(parts, 'part.py'), join(parts, '__pycache__', compiled!)])
      expect(statSync(path).mode & 0o777).toBe(0o644);
  });

  it('keep nothing of an earlier version', async () => {
    await copied();
    rmSync(join(home, 'ours', '_fns_runtime', 'part.py'));
    writeFileSync(join(home, 'ours', '_fns_runtime', 'other.py'), 'A = 2');
    const parts = join(dirname(await copied()), '_fns_runtime');
    expect(readdirSync(parts).sort()).toEqual(['__pycache__', 'other.py']);
    expect(readFileSync(join(parts, 'other.py'), 'utf8')).toBe('A = 2');
    expect(readdirSync(join(parts, '__pycache__'))).toEqual([expect.stringMatching(/^other\./)]);
  });
});
