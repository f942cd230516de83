import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from './connection.js';
import { CliError, EXIT } from './failure.js';

const READY_WITHIN_MS = 60_000;
const LAST_LINES = 20;

/** A platform that this command started for itself. */
export interface OwnPlatform {
  key: string;
  stop(): Promise<void>;
}

/** True where a platform answers, ready or not. */
export async function answers(url: string): Promise<boolean> {
  try {
    await fetch(new URL('/healthz', url), { signal: AbortSignal.timeout(2_000) });
    return true;
  } catch {
    return false;
  }
}

/** Starts the platform of this checkout on `url`, with its data in `dataDir`, and waits until it takes calls. */
export async function startPlatform(url: string, dataDir: string): Promise<OwnPlatform> {
  const { hostname, port } = new URL(url);
  const env = { ...process.env, FNS_HOST: hostname, FNS_PORT: port || '80', FNS_DATA_DIR: dataDir };
  // A group of its own: Ctrl-C is for us, who stop it when the logs are read.
  const child = spawn(process.execPath, [join(packageRoot(), 'bin', 'start.mjs')], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said.push(...text.split('\n').filter((line) => line !== ''));
      said.splice(0, said.length - LAST_LINES);
    });
  }
  await ready(url, child, said);
  const { key } = JSON.parse(readFileSync(join(dataDir, 'credentials.json'), 'utf8')) as { key: string };
  return { key, stop: () => stopped(child) };
}

async function ready(url: string, child: ChildProcess, said: string[]): Promise<void> {
  for (const end = Date.now() + READY_WITHIN_MS; Date.now() < end; await sleep(50)) {
    if (child.exitCode !== null) throw new CliError(`The platform did not start:\n     ${said.join('\n     ')}`, EXIT.unreachable);
    const answer = await fetch(new URL('/readyz', url)).catch(() => undefined);
    if (answer?.ok) return;
  }
  child.kill('SIGTERM');
  throw new CliError(`The platform was not ready within ${READY_WITHIN_MS / 1000} s:\n     ${said.join('\n     ')}`, EXIT.unreachable);
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
