import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { DEFAULTS } from '../../core/defaults.js';
import type { Client } from '../client.js';
import { action, command } from '../command.js';
import { dataFolder, packageRoot } from '../connection.js';
import { CliError, EXIT } from '../failure.js';
import { bytesText } from '../output.js';

interface Check {
  name: string;
  level: 'ok' | 'warn' | 'fail';
  detail: string;
  /** What to do about it. */
  advice?: string;
}

interface Readiness {
  ready: boolean;
  checks: Record<string, { ok: boolean; detail?: string } & Record<string, unknown>>;
}

export function doctorCommand(program: Command): void {
  command(program, 'doctor', 'look at this machine and the platform: what is there, what is missing, how to get it').action(
    action<object, []>(async ({ api, out, cwd }) => {
      const checks = [...machine(dataFolder(process.env, cwd)), ...(await platform(api))];
      const failed = checks.some(({ level }) => level === 'fail');
      out.result({ ok: !failed, checks }, () => checks.map(checkText).join('\n'));
      if (failed) process.exitCode = EXIT.failed;
    }),
  );
}

const SIGNS = { ok: pc.green('✓'), warn: pc.yellow('!'), fail: pc.red('✗') } as const;

const checkText = ({ name, level, detail, advice }: Check): string =>
  `${SIGNS[level]} ${name.padEnd(16)} ${detail}${advice ? `\n  ${' '.repeat(16)} ${pc.dim(`→ ${advice}`)}` : ''}`;

function machine(dataDir: string): Check[] {
  const version = (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
  return [
    { name: 'fns', level: 'ok', detail: `${version} in ${packageRoot()}` },
    node(),
    python(),
    { name: 'system', level: process.platform === 'linux' ? 'ok' : 'warn', ...system() },
    ...disk(dataDir),
  ];
}

const system = (): { detail: string; advice?: string } => ({
  detail: `${process.platform} ${process.arch}`,
  ...(process.platform === 'linux'
    ? {}
    : { advice: 'Functions are kept apart from each other and from your files on Linux only: run trusted code here.' }),
});

function node(): Check {
  const isNew = Number(process.versions.node.split('.')[0]) >= 20;
  return {
    name: 'node',
    level: isNew ? 'ok' : 'fail',
    detail: process.versions.node,
    ...(isNew ? {} : { advice: 'Node.js 20 or newer is needed: https://nodejs.org/en/download' }),
  };
}

function python(): Check {
  const found = spawnSync('python3', ['--version'], { encoding: 'utf8', timeout: 5_000 });
  if (found.status === 0) return { name: 'python', level: 'ok', detail: found.stdout.trim() };
  const advice = process.platform === 'darwin' ? 'brew install python3' : 'apt install python3 (or your system’s package)';
  return { name: 'python', level: 'warn', detail: 'not found: functions in Python cannot run here', advice };
}

function disk(dataDir: string): Check[] {
  const there = nearestThere(dataDir);
  const { bavail, bsize } = statfsSync(there);
  const free = bavail * bsize;
  const enough = free > DEFAULTS.diskFloorBytes * 2;
  const checks: Check[] = [
    {
      name: 'disk',
      level: free > DEFAULTS.diskFloorBytes ? (enough ? 'ok' : 'warn') : 'fail',
      detail: `${bytesText(free)} free in ${there}`,
      ...(enough ? {} : { advice: `Below ${bytesText(DEFAULTS.diskFloorBytes)} no call is taken: make room, or move FNS_DATA_DIR.` }),
    },
  ];
  try {
    accessSync(there, constants.W_OK);
    checks.push({ name: 'data folder', level: 'ok', detail: there === dataDir ? dataDir : `${dataDir} (not made yet)` });
  } catch {
    checks.push({
      name: 'data folder',
      level: 'warn',
      detail: `${there} can't be written by this user`,
      advice: 'Set FNS_DATA_DIR to a folder of yours.',
    });
  }
  return checks;
}

function nearestThere(folder: string): string {
  try {
    accessSync(folder);
    return folder;
  } catch {
    return nearestThere(dirname(folder));
  }
}

async function platform(api: Client): Promise<Check[]> {
  const { url, key, keyFrom } = api.to;
  let readiness: Readiness;
  try {
    // 503 tells its checks, too.
    const answer = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(5_000) });
    readiness = (await answer.json()) as Readiness;
  } catch {
    return [
      {
        name: 'platform',
        level: 'fail',
        detail: `no platform answers on ${url}`,
        advice: 'Start one with `npm start`, or say where it is with --url or FNS_URL.',
      },
    ];
  }
  const whole: Check = {
    name: 'platform',
    level: readiness.ready ? 'ok' : 'fail',
    detail: `${readiness.ready ? 'ready' : 'not ready'} on ${url}`,
  };
  return [whole, ...Object.entries(readiness.checks ?? {}).map(readinessCheck), await keyCheck(api, key, keyFrom)];
}

interface RuntimeHere {
  runtime: string;
  version?: string;
  works: boolean;
  reason?: string;
}

function readinessCheck([name, { ok, detail, advice, list, ...more }]: [string, Readiness['checks'][string]]): Check {
  if (name === 'runtimes' && Array.isArray(list)) return runtimesCheck(list as RuntimeHere[]);
  if (name === 'sandbox' && ok) return { name, level: detail ? 'warn' : 'ok', detail: `tier ${more.tier}`, advice: detail };
  const told = [
    detail,
    ...Object.entries(more).map(([field, value]) => `${field} ${typeof value === 'object' ? JSON.stringify(value) : value}`),
  ];
  const text = told.filter((part) => part !== undefined).join(', ');
  return { name, level: ok ? 'ok' : 'warn', detail: text || (ok ? 'well' : 'not well'), ...(typeof advice === 'string' ? { advice } : {}) };
}

function runtimesCheck(list: RuntimeHere[]): Check {
  const text = ({ runtime, version, works, reason }: RuntimeHere): string =>
    `${runtime}${version ? ` (${version})` : ''}${works ? '' : ` does not work: ${reason ?? 'no reason given'}`}`;
  const broken = list.filter(({ works }) => !works);
  const lacksPython = !list.some(({ runtime, works }) => works && runtime.startsWith('python'));
  return {
    name: 'runtimes',
    level: broken.length > 0 || lacksPython ? 'warn' : 'ok',
    detail: list.map(text).join(', ') || 'none',
    ...(lacksPython
      ? { advice: 'For functions in Python install it for all users: apt install python3, then start the platform again.' }
      : {}),
  };
}

async function keyCheck(api: Client, key: string | undefined, keyFrom: string): Promise<Check> {
  if (key === undefined)
    return {
      name: 'key',
      level: 'fail',
      detail: 'none was found',
      advice: 'Set FNS_API_KEY, or run this in the folder where `npm start` was run.',
    };
  try {
    await api.get('/functions', { limit: 1 });
    return { name: 'key', level: 'ok', detail: `from ${keyFrom}` };
  } catch (error) {
    return {
      name: 'key',
      level: 'fail',
      detail: `from ${keyFrom}: ${error instanceof CliError ? error.message : 'refused'}`,
      advice: 'Is it a key of this platform, and not expired?',
    };
  }
}
