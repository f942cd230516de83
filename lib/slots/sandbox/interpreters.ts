import { execFile } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { NODE_RUNTIMES, PYTHON_RUNTIMES, type Runtime } from '../../core/functions/model.js';

const run = promisify(execFile);

/** A program that may serve a runtime. Whether it works under a tier is for the probe to say. */
export interface Candidate {
  kind: 'node' | 'python';
  path: string;
}

const within = (folder: string): string[] => {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
};

/** System folders first, for every user can read them; then the PATH and where version managers put interpreters. */
function binFolders(): string[] {
  const home = homedir();
  const managed = [
    ...within(join(home, '.pyenv', 'versions')),
    ...within(join(home, '.nvm', 'versions', 'node')),
    ...within(join(home, '.local', 'share', 'mise', 'installs', 'python')),
    ...within(join(home, '.local', 'share', 'mise', 'installs', 'node')),
    ...within('/opt/python'),
    ...within('/opt/node'),
  ].map((folder) => join(folder, 'bin'));
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/') && !folder.endsWith('/shims'));
  return [...new Set(['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', ...path, ...managed])];
}

/** Interpreters on this machine, our own Node first, each program once. */
export function candidates(): Candidate[] {
  const found = new Map<string, Candidate>();
  const offer = (kind: Candidate['kind'], path: string): void => {
    if (!existsSync(path)) return;
    const real = realpathSync(path);
    if (!found.has(real)) found.set(real, { kind, path: real });
  };
  offer('node', process.execPath);
  const pythonNames = PYTHON_RUNTIMES as readonly string[];
  for (const folder of binFolders()) {
    for (const name of [...pythonNames, 'python3']) offer('python', join(folder, name));
    for (const name of ['node', 'nodejs', 'node20', 'node22', 'node24']) offer('node', join(folder, name));
  }
  return [...found.values()];
}

const HELLO_MS = 10_000;

/** What an interpreter says of itself. The program says hello too: an interpreter without its library does not. */
export const helloArguments = (kind: Candidate['kind']): string[] =>
  kind === 'node'
    ? ['-e', 'process.stdout.write("hello " + process.versions.node)']
    : ['-I', '-c', 'import json, logging, sys; sys.stdout.write("hello %d.%d.%d" % sys.version_info[:3])'];

export async function hello(argv: readonly string[]): Promise<{ version: string } | { reason: string }> {
  const [program = '', ...args] = argv;
  try {
    const { stdout } = await run(program, args, {
      timeout: HELLO_MS,
      env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' },
      cwd: '/',
      killSignal: 'SIGKILL',
    });
    const version = /^hello (\d+\.\d+\.\d+)/.exec(stdout)?.[1];
    return version ? { version } : { reason: `it answered ${JSON.stringify(stdout.slice(0, 100))} instead of its version` };
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    return { reason: ((stderr ?? '').trim().split('\n').at(-1) || message).slice(0, 300) };
  }
}

/** `3.11.2` of Python is `python3.11`, `20.1.0` of Node is `nodejs20`; others are none of ours. */
export function runtimeOf(kind: Candidate['kind'], version: string): Runtime | undefined {
  const [major, minor] = version.split('.');
  const name = kind === 'node' ? `nodejs${major}` : `python${major}.${minor}`;
  return [...NODE_RUNTIMES, ...PYTHON_RUNTIMES].find((runtime) => runtime === name);
}
