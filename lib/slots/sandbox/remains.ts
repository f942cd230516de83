import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRoot } from './tools.js';

/** What one platform made on this machine outside its data folder. */
export interface Remains {
  pid: number;
  /** Tells the process from a later one with the same pid. */
  startedAt: string;
  /** Name of its cgroups. */
  cgroup: string;
  /** Folder of its slots. */
  slots: string;
  /** Of its network namespaces and its nftables table. */
  prefix?: string;
  /** Interfaces on which it needs routing that was off before. */
  forwarding?: string[];
}

/** Gone after a reboot, like everything that is noted here. */
const FOLDER = '/run/fns';

/** Field 22 of proc(5), counted behind the name, which may hold anything. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

const noteOf = (name: string): string => join(FOLDER, `${name}.json`);

function notes(): [name: string, remains: Remains][] {
  try {
    return readdirSync(FOLDER)
      .filter((file) => file.endsWith('.json'))
      .map((file) => [file.slice(0, -5), JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Remains]);
  } catch {
    return [];
  }
}

const isAlive = ({ pid, startedAt }: Remains): boolean => startTimeOf(pid) === startedAt;

/** Notes what this platform makes, so that a later one can remove it if this one is killed. Only root leaves anything. */
export function note(name: string, remains: Omit<Remains, 'pid' | 'startedAt'>): void {
  if (!isRoot() || process.platform !== 'linux') return;
  const path = noteOf(name);
  mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify({ pid: process.pid, startedAt: startTimeOf(process.pid) ?? '', ...remains }));
  renameSync(`${path}.new`, path);
}

export function forget(name: string): void {
  if (isRoot()) rmSync(noteOf(name), { force: true });
}

/** Platforms that were killed, and the one of this name. */
export const deadRemains = (name: string): [name: string, remains: Remains][] =>
  notes().filter(([each, remains]) => each === name || !isAlive(remains));

/** Interfaces on which any other platform that runs needs routing. */
export const forwardedElsewhere = (name: string): Set<string> =>
  new Set(notes().flatMap(([each, remains]) => (each !== name && isAlive(remains) ? (remains.forwarding ?? []) : [])));
