import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { machineName } from '../../../lib/slots/sandbox/launch.js';
import { processTree } from '../../../lib/slots/sandbox/process-tree.js';
import { openSandbox, type Sandbox } from '../../../lib/slots/sandbox/sandbox.js';
import type { Tier } from '../../../lib/slots/sandbox/tiers.js';
import { systemTool } from '../../../lib/slots/sandbox/tools.js';
import { DrivenSlot } from './driven-slot.js';

/** Does what it is told with the machine, and says how that ended. */
const SPY = `
import ctypes, json, os, signal, socket, subprocess, sys

def attempt(work):
    try:
        return work()
    except BaseException as error:
        return type(error).__name__

def read(path):
    with open(path) as file:
        return file.read(200)

def write(path):
    with open(path, 'w') as file:
        file.write('x')
    return 'written'

def connect(where):
    with socket.socket() as s:
        s.settimeout(2)
        s.connect((where[0], where[1]))
        return 'connected'

def own_server():
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0)); server.listen()
        return connect(server.getsockname())

def status(name):
    return next(line.split()[1] for line in open('/proc/self/status') if line.startswith(name + ':'))

DO = {
    'read': read, 'write': write, 'list': lambda p: sorted(os.listdir(p)), 'connect': connect, 'own_server': lambda _: own_server(),
    'kill': lambda pid: os.kill(pid, signal.SIGKILL), 'env': lambda _: dict(os.environ), 'uid': lambda _: os.getuid(),
    'status': status, 'setuid': lambda _: os.setuid(0), 'pids': lambda _: [int(p) for p in os.listdir('/proc') if p.isdigit()],
    'run': lambda argv: subprocess.run(argv, capture_output=True, text=True).stdout,
    'groups': lambda _: os.getgroups(), 'keep': lambda path: write(path), 'chmod': lambda p: os.chmod(p, 0o777),
    'cmdlines': lambda _: [read('/proc/%s/environ' % p) if attempt(lambda: read('/proc/%s/environ' % p)) != 'PermissionError' else '' for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()],
}

def handler(event, context):
    return attempt(lambda: DO[event['do']](event.get('with')))
`;

const root = resolve(__dirname, '../../..');
const isRoot = process.getuid?.() === 0;
const tiers: Tier[] = process.platform === 'linux' ? ['A', 'B', 'C'] : ['C'];

describe.each(tiers)('tier %s', (tier) => {
  let dataDir: string;
  let sandbox: Sandbox | undefined;
  let python: string | undefined;
  const closing: (() => Promise<void>)[] = [];

  const spy = async (network: 'none' | 'internet' = 'none'): Promise<(act: string, input?: unknown) => Promise<unknown>> => {
    const slot = await DrivenSlot.start(sandbox!.launcher, {
      kind: 'python',
      interpreter: python!,
      files: { 'index.py': SPY },
      dataDir,
      network,
    });
    closing.push(() => slot.end());
    return async (act, input) => (await slot.call({ do: act, with: input })).result;
  };
  /** Runs the check only where this machine has the tier (and Python in it). */
  const claim = (title: string, check: () => Promise<void>): void =>
    it(title, async () => {
      if (!sandbox || !python) return console.warn(`not shown here: tier ${tier} or Python in it is missing`);
      await check();
    });

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'fns-data-'));
    writeFileSync(join(dataDir, 'credentials.json'), 'secret', { mode: 0o644 });
    sandbox = await openSandbox({ dataDir, tiers: [tier] }).catch(() => undefined);
    python = sandbox?.found.runtimes.find(({ runtime, works }) => works && runtime.startsWith('python'))?.path;
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  afterAll(async () => {
    await sandbox?.launcher.close?.();
    rmSync(dataDir, { recursive: true, force: true });
  });

  claim('gives a function its own variables and nothing of the platform', async () => {
    process.env.FNS_ADMIN_KEY_OF_TEST = 'platform-secret';
    const ask = await spy();
    const env = (await ask('env')) as Record<string, string>;
    expect(env).toMatchObject({ MINE: 'yes' });
    expect(JSON.stringify(env)).not.toContain('platform-secret');
    if (tier !== 'C') expect(JSON.stringify(await ask('cmdlines'))).not.toContain('platform-secret');
  });

  claim('gains no privilege: no capabilities, no new ones by exec', async () => {
    const ask = await spy();
    if (tier !== 'C') expect(await ask('status', 'CapEff')).toBe('0000000000000000');
    expect(await ask('status', 'NoNewPrivs')).toBe('1');
    if (tier !== 'C' && isRoot) {
      expect(await ask('uid')).toBeGreaterThanOrEqual(1_900_000);
      expect(await ask('setuid')).toBe('PermissionError');
      expect(await ask('groups')).toEqual([]);
    }
  });

  claim('network none is none, but for its own loopback', async () => {
    const server = await listening();
    const ask = await spy('none');
    expect(await ask('connect', ['127.0.0.1', server.port])).toMatch(/Error/);
    expect(await ask('connect', ['169.254.169.254', 80])).toMatch(/Error|timeout/);
    if (tier !== 'C') expect(await ask('own_server')).toBe('connected');
    server.close();
  });

  if (tier === 'C') {
    claim('says that it is open and takes no second tenant', async () => {
      expect(sandbox!.found).toMatchObject({ tier: 'C', internet: 'open', allowsSecondTenant: false });
      const ask = await spy();
      expect(await ask('read', join(dataDir, 'credentials.json'))).toBe('secret');
    });
    return;
  }

  claim('cannot read the data folder, though its files would let anyone', async () => {
    const ask = await spy();
    expect(await ask('read', join(dataDir, 'credentials.json'))).toMatch(/PermissionError|FileNotFoundError/);
    expect(await ask('list', dataDir)).toMatch(/PermissionError|FileNotFoundError/);
  });

  claim('cannot change its code, nor leave something for the next slot', async () => {
    const ask = await spy();
    const task = ((await ask('env')) as Record<string, string>).LAMBDA_TASK_ROOT!;
    expect(await ask('read', `${task}/index.py`)).toContain('import ctypes');
    expect(await ask('write', `${task}/index.py`)).toMatch(/PermissionError|OSError/);
    expect(await ask('write', `${task}/more.py`)).toMatch(/PermissionError|OSError/);
    expect(await ask('chmod', `${task}/index.py`)).toMatch(/PermissionError|OSError/);
    for (const folder of ['/tmp', '/var/tmp', '/dev/shm']) await ask('keep', `${folder}/left-behind`);
    const next = await spy();
    for (const folder of ['/tmp', '/var/tmp', '/dev/shm']) expect(await next('read', `${folder}/left-behind`)).toMatch(/Error/);
  });

  claim('cannot see another slot: not its files, not its processes', async () => {
    const [one, two] = [await spy(), await spy()];
    const tmp = ((await one('env')) as Record<string, string>).TMPDIR!;
    expect(await one('keep', `${tmp}/mine`)).toBe('written');
    expect(await two('read', `${tmp}/mine`)).toMatch(/Error/);
    expect(await two('read', `${tmp.replace(/\/\d+\/tmp$/, '/1/task')}/index.py`)).toMatch(/Error/);
    if (tier === 'A') expect(((await two('pids')) as number[]).length).toBeLessThanOrEqual(2);
  });

  claim('cannot read the environment of the platform nor end it', async () => {
    const ask = await spy();
    if (tier === 'B') {
      expect(await ask('read', `/proc/${process.pid}/environ`)).toBe('PermissionError');
      expect(await ask('kill', process.pid)).toBe('PermissionError');
    } else {
      // That number names another process here, or none.
      expect(await ask('kill', process.pid)).toMatch(/ProcessLookupError|PermissionError/);
    }
  });

  claim('internet means public addresses: not the loopback, the metadata address, this machine or its neighbours', async () => {
    if (sandbox!.found.internet !== 'public') return console.warn(`open here: ${sandbox!.found.why.join('; ')}`);
    const server = await listening();
    const ask = await spy('internet');
    const own = Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal);
    const targets: [string, number][] = [
      ['127.0.0.1', server.port],
      ['169.254.169.254', 80],
      ...own.map(({ address }): [string, number] => [address, server.port]),
    ];
    for (const target of targets) expect([target, await ask('connect', target)]).toEqual([target, expect.stringMatching(/Error|timeout/)]);
    expect(server.accepted()).toBe(0);
    expect(await ask('own_server')).toBe('connected');
    const other = await spy('internet');
    expect(await other('connect', ['198.18.0.1', 80])).toMatch(/Error|timeout/);
    server.close();
  });

  claim('internet leads to a public address', async () => {
    if (sandbox!.found.internet !== 'public') return;
    const { address, close } = await standIn();
    try {
      const ask = await spy('internet');
      expect(await ask('connect', address)).toBe('connected');
    } finally {
      close();
    }
  });

  claim('ends with the platform, also when it is stopped and the platform is killed', async () => {
    const platform = await killablePlatform(tier, python!);
    const pids = processTree(platform.slotPid);
    expect(pids.length).toBe(tier === 'A' ? 3 : 1);
    platform.child.kill('SIGKILL');
    // An init that does not reap leaves a zombie, which runs nothing.
    await until(() => pids.every((pid) => ['', 'Z'].includes(stateOf(pid))), 1000);
  });

  claim('what a killed platform left on the machine is removed by the next one', async () => {
    const platform = await killablePlatform(tier, python!);
    expect(platform.left().length).toBeGreaterThan(0);
    platform.child.kill('SIGKILL');
    await new Promise((done) => platform.child.once('exit', done));
    const next = await openSandbox({ dataDir: join(dataDir, 'next'), tiers: [tier] });
    await next.launcher.close?.();
    expect(platform.left().length).toBe(0);
  });
});

/** A process of its own with one stopped slot, that can be killed. */
async function killablePlatform(tier: Tier, python: string): Promise<{ child: ChildProcess; slotPid: number; left(): string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'fns-killed-'));
  const { buildSync } = await import('esbuild');
  const outfile = join(folder, 'platform.js');
  const contents = `
    import { openSandbox } from ${JSON.stringify(resolve(root, 'lib/slots/sandbox/sandbox.ts'))};
    void (async () => {
      const { launcher } = await openSandbox({ dataDir: ${JSON.stringify(join(folder, 'data'))}, tiers: ['${tier}'] });
      const argv = [${JSON.stringify(python)}, '-I', ${JSON.stringify(resolve(root, 'runtimes/python/bootstrap.py'))}];
      const slot = await launcher.launch({ kind: 'python', argv, env: { PATH: '/usr/bin:/bin' }, memoryMb: 128, network: 'internet' });
      setTimeout(() => { slot.freeze(); console.log(slot.pid); }, 500);
    })();`;
  buildSync({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    logLevel: 'error',
  });
  const child = spawn(process.execPath, [outfile], { stdio: ['ignore', 'pipe', 'inherit'] });
  const slotPid = await new Promise<number>((done) => child.stdout.once('data', (said) => done(Number(said))));
  const name = machineName(join(folder, 'data'));
  const prefix = existsSync(`/run/fns/${name}.json`) ? JSON.parse(readFileSync(`/run/fns/${name}.json`, 'utf8')).prefix : name;
  const places = ['/run/fns', '/run/netns', '/var/lib/fns', '/sys/fs/cgroup/memory', '/sys/fs/cgroup/pids'];
  const left = (): string[] =>
    places
      .flatMap((place) => (existsSync(place) ? readdirSync(place) : []))
      .filter((each) => each.startsWith(name) || each.startsWith(prefix));
  return { child, slotPid, left };
}

async function listening(): Promise<{ port: number; accepted(): number; close(): void }> {
  let accepted = 0;
  const server: Server = createServer((socket) => {
    accepted += 1;
    socket.destroy();
  });
  await new Promise<void>((done) => server.listen(0, '0.0.0.0', done));
  return { port: (server.address() as { port: number }).port, accepted: () => accepted, close: () => server.close() };
}

/** A host with a public address (RFC 5737) behind a router that this machine knows: no network outside is needed. */
async function standIn(): Promise<{ address: [string, number]; close(): void }> {
  // Another run of these tests may have its own.
  const n = process.pid % 126;
  const name = `t${process.pid}`;
  const [near, far, address] = [`198.51.100.${n * 2}`, `198.51.100.${n * 2 + 1}`, `203.0.113.${n + 1}`];
  const close = (): void => {
    server?.kill('SIGKILL');
    execFileSync('sh', ['-c', `ip netns delete ${name}; ip link delete ${name} 2>/dev/null; true`]);
  };
  let server: ChildProcess | undefined;
  const commands = [
    `ip netns add ${name} && ip link add ${name} type veth peer name eth0 netns ${name}`,
    `ip addr add ${near}/31 dev ${name} && ip link set ${name} up && echo 1 > /proc/sys/net/ipv4/conf/${name}/forwarding`,
    `ip -n ${name} addr add ${far}/31 dev eth0 && ip -n ${name} addr add ${address}/32 dev lo`,
    `ip -n ${name} link set lo up && ip -n ${name} link set eth0 up && ip -n ${name} route add default via ${near}`,
    `ip route add ${address}/32 via ${far}`,
  ];
  try {
    for (const command of commands) execFileSync('sh', ['-ce', command]);
    const script = `require('net').createServer((s) => s.end()).listen(8080, '${address}', () => console.log('up'))`;
    server = spawn(systemTool('ip')!, ['netns', 'exec', name, process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(server.stdout!, 'data');
    return { address: [address, 8080], close };
  } catch (error) {
    close();
    throw error;
  }
}

const stateOf = (pid: number): string => {
  try {
    return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
};

async function until(check: () => boolean, withinMs: number): Promise<void> {
  const end = Date.now() + withinMs;
  while (!check()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((done) => setTimeout(done, 5));
  }
}
