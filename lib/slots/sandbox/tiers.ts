import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { LaunchRequest, SeenFolders } from '../launcher.js';
import type { SlotSite } from './slot-site.js';
import { isRoot, quoted, systemTool } from './tools.js';

export type Tier = 'A' | 'B' | 'C';

const MB = 1024 * 1024;
const OPEN_FILES = 1024;
const FILE_BYTES = 512 * MB;

/** How a tier starts one slot. */
export interface TierPlan {
  argv: string[];
  seen: Required<Pick<SeenFolders, 'code' | 'tmp'>> & { opt: string; cache: string };
}

/** What every tier's wrapper is made from. */
export interface PlanInput {
  request: LaunchRequest;
  site: SlotSite;
  /** `argv` of the request with its bootstrap in a folder of its own that every user may read. */
  argv: readonly string[];
  /** Processes at most, where no cgroup counts them. */
  processes: number;
  /** Files to join cgroups by. */
  joins: readonly string[];
  /** Network namespace to enter, as a path, or `new` for one without any way out. */
  network: { kind: 'host' } | { kind: 'none' } | { kind: 'namespace'; path: string; resolvConf: string };
}

/** /tmp is memory and counts against the function's: half of its memory class, 64 MB at least, 512 MB at most. */
export const tmpBytes = (memoryMb: number): number => Math.min(512, Math.max(64, memoryMb / 2)) * MB;

/**
 * Runs first, as the platform's user: joins the slot's cgroups and sets limits that survive the exec, so that no instruction
 * of the slot runs outside of them. `-u` is bash's, `-p` dash's and busybox's name for the number of processes.
 */
function prelude(input: PlanInput, before: readonly string[] = []): string[] {
  const lines = [
    ...input.joins.map((file) => `echo 0 > ${quoted(file)} || exit 125`),
    // Where the whole machine runs out of memory, a slot goes before the platform does.
    'echo 500 > /proc/self/oom_score_adj 2>/dev/null',
    `ulimit -c 0; ulimit -n ${OPEN_FILES}; ulimit -f ${FILE_BYTES / 512}`,
    `ulimit -u ${input.processes} 2>/dev/null || ulimit -p ${input.processes} 2>/dev/null`,
    ...before,
    'unset PWD OLDPWD',
    'exec "$@"',
  ];
  return ['/bin/sh', '-c', lines.join('\n'), 'fns-slot'];
}

/** Enters or makes the network namespace before privileges go. */
function networkPrefix(network: PlanInput['network']): string[] {
  if (network.kind === 'namespace') return [systemTool('nsenter') as string, `--net=${network.path}`, '--'];
  return [];
}

const dropTo = (uid: number): string[] => [
  systemTool('setpriv') as string,
  ...[
    `--reuid=${uid}`,
    `--regid=${uid}`,
    '--clear-groups',
    '--bounding-set=-all',
    '--inh-caps=-all',
    '--no-new-privs',
    '--pdeathsig=KILL',
    '--',
  ],
];

const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const ETC = [
  ...['ssl', 'pki', 'ca-certificates', 'ca-certificates.conf', 'alternatives', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'localtime'],
  ...['nsswitch.conf', 'hosts', 'protocols', 'services', 'mime.types', 'gai.conf', 'host.conf'],
].map((name) => `/etc/${name}`);

/** Folder that holds an interpreter with its library: `<prefix>/bin/python3`. */
export const prefixOf = (interpreter: string): string => dirname(dirname(realpathSync(interpreter)));

const inSystem = (path: string): boolean => SYSTEM.some((folder) => path === folder || path.startsWith(`${folder}/`));

function systemBinds(): string[] {
  const args: string[] = [];
  for (const path of SYSTEM) {
    if (!existsSync(path)) continue;
    if (lstatSync(path).isSymbolicLink()) args.push('--symlink', readlinkSync(path), path);
    else args.push('--ro-bind', path, path);
  }
  for (const path of ETC) args.push('--ro-bind-try', path, path);
  return args;
}

/** Parents are made readable: bwrap would copy the mode of a private home. */
function bindWithParents(from: string, to: string): string[] {
  const args: string[] = [];
  const parts = to.split('/').filter(Boolean);
  for (let depth = 1; depth < parts.length; depth += 1) args.push('--perms', '0755', '--dir', `/${parts.slice(0, depth).join('/')}`);
  return [...args, '--ro-bind', from, to];
}

let systemArgs: string[] | undefined;

const BOOTSTRAPS = '/var/runtime';

/** Programs and bootstraps of the request, at paths that exist inside. */
function inside(input: PlanInput): { binds: string[]; argv: string[] } {
  const [program = '', ...rest] = input.argv;
  const binds: string[] = [];
  const real = realpathSync(program);
  const prefix = prefixOf(program);
  if (!inSystem(real)) binds.push(...bindWithParents(prefix, prefix));
  const argv = rest.map((argument) => {
    if (!argument.startsWith('/') || inSystem(argument) || argument.startsWith(`${prefix}/`) || !existsSync(argument)) return argument;
    // A copy has a folder to itself, with its parts beside it (readable-copies.ts).
    const folder = join(BOOTSTRAPS, basename(dirname(argument)));
    binds.push('--ro-bind', dirname(argument), folder);
    return join(folder, basename(argument));
  });
  return { binds, argv: [real, ...argv] };
}

/** Namespaces, a root folder of its own, no capabilities; as root also a user of its own. */
export function bwrapPlan(input: PlanInput): TierPlan {
  const { request, site, network } = input;
  systemArgs ??= systemBinds();
  const { binds, argv } = inside(input);
  const root = isRoot() && site.uid !== undefined;
  const args = [
    ...[
      '--unshare-pid',
      '--unshare-ipc',
      '--unshare-uts',
      '--unshare-cgroup-try',
      '--die-with-parent',
      '--new-session',
      '--hostname',
      'fns',
    ],
    ...(root ? [] : ['--unshare-user', '--disable-userns']),
    ...(network.kind === 'none' ? ['--unshare-net'] : []),
    ...['/etc', '/var', BOOTSTRAPS].flatMap((folder) => ['--perms', '0755', '--dir', folder]),
    ...systemArgs,
    ...['--proc', '/proc', '--dev', '/dev'],
    ...['--size', String(tmpBytes(request.memoryMb)), '--perms', '1777', '--tmpfs', '/tmp', '--symlink', '/tmp', '/var/tmp'],
    ...['--ro-bind', join(site.folder, 'passwd'), '/etc/passwd'],
    ...['--ro-bind-try', network.kind === 'namespace' ? network.resolvConf : '/etc/resolv.conf', '/etc/resolv.conf'],
    ...['--ro-bind', join(site.folder, 'task'), '/var/task', '--ro-bind', join(site.folder, 'opt'), '/opt'],
    ...['--ro-bind', join(site.folder, 'cache'), '/var/cache'],
    ...binds,
    ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', '/var/task'],
    // Root without a user namespace may still change its user inside, and nothing else.
    ...(root ? ['--cap-drop', 'ALL', '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID', '--cap-add', 'CAP_SETPCAP'] : []),
    '--',
    ...(root ? dropTo(site.uid as number) : []),
    ...argv,
  ];
  return {
    argv: [...prelude(input), ...networkPrefix(network), systemTool('bwrap') as string, ...args],
    seen: { code: '/var/task', opt: '/opt', cache: '/var/cache', tmp: '/tmp' },
  };
}

const hostFolders = (site: SlotSite): TierPlan['seen'] => ({
  code: join(site.folder, 'task'),
  opt: join(site.folder, 'opt'),
  cache: join(site.folder, 'cache'),
  tmp: site.tmp,
});

/**
 * A user of its own. Where mounts are allowed (CAP_SYS_ADMIN), world-writable folders become private too, for they are the one
 * place in which two slots could meet.
 */
export function userPlan(input: PlanInput, mounts: boolean): TierPlan {
  const { site, network, request } = input;
  const uid = site.uid as number;
  const size = tmpBytes(request.memoryMb);
  const mount = (folder: string): string =>
    `${systemTool('mount')} -t tmpfs -o size=${size},mode=0700,uid=${uid},gid=${uid},nosuid,nodev tmpfs ${quoted(folder)} || exit 125`;
  const own = mounts ? ['/tmp', '/var/tmp', '/dev/shm'].filter(existsSync).filter((folder) => !site.folder.startsWith(`${folder}/`)) : [];
  const unshare = [
    systemTool('unshare') as string,
    '--mount',
    '--ipc',
    ...(network.kind === 'none' ? ['--net'] : []),
    '--propagation',
    'private',
    '--',
  ];
  const wrapper = mounts ? [...networkPrefix(network), ...unshare] : networkPrefix(network);
  const loopback = mounts && network.kind === 'none' ? [`${systemTool('ip') ?? 'true'} link set lo up 2>/dev/null || true`] : [];
  // Readers of the resolver's list see the one that is reachable from the slot's own network.
  const dns = network.kind === 'namespace' ? [`${systemTool('mount')} --bind ${quoted(network.resolvConf)} /etc/resolv.conf || true`] : [];
  const before = mounts ? [...[site.tmp, ...own].map(mount), ...loopback, ...dns] : [];
  return {
    argv: [...wrapper, ...prelude(input, [...before, `cd ${quoted(join(site.folder, 'task'))}`]), ...dropTo(uid), ...input.argv],
    seen: hostFolders(site),
  };
}

/** Nothing but limits: the function can read what the platform can. */
export function plainPlan(input: PlanInput): TierPlan {
  const setpriv = systemTool('setpriv');
  return {
    argv: [...prelude(input), ...(setpriv ? [setpriv, '--no-new-privs', '--pdeathsig=KILL', '--'] : []), ...input.argv],
    seen: hostFolders(input.site),
  };
}
