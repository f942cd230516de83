import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ADMIN_KEY, type Platform } from './platform.js';

const ROOT = join(__dirname, '..', '..');

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read what they expect and fail where it is not there
  json: any;
}

export interface Running {
  stdout(): string;
  stderr(): string;
  interrupt(): void;
  ended: Promise<Ended>;
}

/** Starts the real command in a process of its own, as a user does. */
export function startFns(args: string[], { cwd, env = {}, input }: { cwd: string; env?: Record<string, string>; input?: string }): Running {
  const child = spawn(process.execPath, [join(ROOT, 'bin', 'fns.mjs'), ...args], { cwd, env: { ...process.env, NO_COLOR: '1', ...env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.end(input ?? '');
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) =>
      resolve({ code, stdout, stderr, json: args.includes('--json') && code === 0 ? JSON.parse(stdout) : undefined }),
    );
  });
  return { stdout: () => stdout, stderr: () => stderr, interrupt: () => child.kill('SIGINT'), ended };
}

/** The command against a platform, in a folder. */
export const fnsOn =
  (platform: Platform, cwd: string) =>
  (args: string[], input?: string): Promise<Ended> =>
    startFns(args, { cwd, env: { FNS_URL: platform.url, FNS_API_KEY: ADMIN_KEY }, input }).ended;
