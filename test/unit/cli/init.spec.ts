import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { init } from '../../../lib/cli/commands/init.js';

describe('a project that `fns init` makes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-init-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const runtimeOf = (name: string, template: string, here: string[]): string | undefined => {
    init(join(folder, name), template, here);
    return /runtime: (\S+)/.exec(readFileSync(join(folder, name, 'fns.yaml'), 'utf8'))?.[1];
  };

  it('names a runtime that is here, the template’s own where it can', () => {
    expect(runtimeOf('a', 'node', ['nodejs20', 'nodejs24'])).toBe('nodejs20');
    expect(runtimeOf('b', 'node', ['python3.9', 'nodejs24'])).toBe('nodejs24');
    expect(runtimeOf('c', 'python', ['nodejs24', 'python3.13'])).toBe('python3.13');
  });

  it('keeps the template’s runtime where none of its language is here: the deploy will say what to install', () => {
    expect(runtimeOf('d', 'python', ['nodejs20'])).toBe('python3.11');
  });
});
