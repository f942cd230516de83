import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signalAll } from './process-tree.js';

/**
 * Where this machine lets us make cgroups for slots. On version 1 each controller has a tree of its own and any of them may
 * be missing; on version 2 one folder carries all. Absent fields are enforced in other ways, or said to be open.
 */
export interface CgroupBase {
  memory?: string;
  pids?: string;
  cpu?: string;
  freezer?: string;
  /** Version 2: the one folder that the fields above name too. */
  unified?: string;
}

const ROOT = '/sys/fs/cgroup';

const text = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
};

/** Lines of /proc/self/cgroup: `id:controllers:path`. */
function ownPaths(): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text('/proc/self/cgroup').split('\n')) {
    const [, controllers = '', path = '/'] = line.split(':');
    for (const controller of controllers.split(',')) paths.set(controller, path);
  }
  return paths;
}

function make(folder: string): string | undefined {
  try {
    mkdirSync(folder, { recursive: true });
    return folder;
  } catch {
    return undefined;
  }
}

/** Memory limit of a version 1 group; around 2^63 where there is none. */
const limitOf = (folder: string): number => Number(text(join(folder, 'memory.limit_in_bytes')) || '9e18');

/**
 * Slots stand below our own group where it carries a memory limit (a container's, a service's), so that they cannot outgrow
 * it; else below the root, where the next start finds what a killed platform left.
 */
function versionOne(name: string): CgroupBase | undefined {
  const paths = ownPaths();
  const base: CgroupBase = {};
  for (const controller of ['memory', 'pids', 'cpu', 'freezer'] as const) {
    const path = paths.get(controller);
    if (path === undefined) continue;
    const own = join(ROOT, controller, path);
    const limited = limitOf(join(ROOT, 'memory', paths.get('memory') ?? '/')) < 2 ** 60;
    base[controller] = make(join(limited ? own : join(ROOT, controller), name));
  }
  return base.memory || base.pids || base.cpu || base.freezer ? base : undefined;
}

/**
 * Version 2 wants processes in leaves only: our own process moves one level down, which is done only where the group holds
 * nobody but us (a service with Delegate=yes, a container).
 */
function versionTwo(name: string): CgroupBase | undefined {
  const path = ownPaths().get('');
  const own = path === undefined ? undefined : join(ROOT, path.replace(/\/fns-platform$/, ''));
  if (!own || !text(join(own, 'cgroup.controllers')).includes('memory')) return undefined;
  const inside = text(join(own, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  if (path !== '/' && inside.some((pid) => pid !== process.pid)) return undefined;
  const controllers = ['memory', 'pids', 'cpu'].filter((c) => text(join(own, 'cgroup.controllers')).split(' ').includes(c));
  const enable = controllers.map((c) => `+${c}`).join(' ');
  try {
    if (inside.length > 0 && path !== '/') {
      mkdirSync(join(own, 'fns-platform'), { recursive: true });
      writeFileSync(join(own, 'fns-platform', 'cgroup.procs'), String(process.pid));
    }
    writeFileSync(join(own, 'cgroup.subtree_control'), enable);
    const unified = make(join(own, name));
    if (!unified) return undefined;
    writeFileSync(join(unified, 'cgroup.subtree_control'), enable);
    const has = (c: string): string | undefined => (controllers.includes(c) ? unified : undefined);
    return { unified, memory: has('memory'), pids: has('pids'), cpu: has('cpu'), freezer: unified };
  } catch {
    return undefined;
  }
}

/** `name` is one folder name per platform; groups that an earlier run of it left are ended. */
export function cgroupBase(name: string): CgroupBase {
  if (process.platform !== 'linux') return {};
  const base = versionTwo(name) ?? versionOne(name) ?? {};
  sweep(base);
  return base;
}

const foldersOf = (base: CgroupBase): string[] => [
  ...new Set([base.memory, base.pids, base.cpu, base.freezer].filter((f): f is string => f !== undefined)),
];

/** Ends what runs in groups of an earlier run and removes them. */
function sweep(base: CgroupBase): void {
  for (const folder of foldersOf(base)) {
    if (!existsSync(folder)) continue;
    for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) endGroup(join(folder, entry.name));
  }
}

function endGroup(folder: string): void {
  signalAll(text(join(folder, 'cgroup.procs')).split('\n').filter(Boolean).map(Number), 'SIGKILL');
  for (const [file, value] of [
    ['freezer.state', 'THAWED'],
    ['cgroup.freeze', '0'],
  ] as const) {
    try {
      if (text(join(folder, file))) writeFileSync(join(folder, file), value);
    } catch {
      // Not this version.
    }
  }
  try {
    rmdirSync(folder);
  } catch {
    // Its processes are still ending: the next start removes it.
  }
}

/** Removes the base folders of a platform that has ended. */
export function removeCgroupBase(base: CgroupBase): void {
  sweep(base);
  for (const folder of foldersOf(base)) {
    try {
      rmdirSync(folder);
    } catch {
      // A slot is still ending; the next start sweeps.
    }
  }
}
