import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSandbox, type Sandbox } from '../../../lib/slots/sandbox/sandbox.js';
import type { Tier } from '../../../lib/slots/sandbox/tiers.js';
import { DrivenSlot } from './driven-slot.js';

const HOSTILE_PYTHON = `
import os, socket, sys, threading, time

def forks():
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)

def memory():
    held = []
    while True:
        held.append(bytearray(4 << 20))

def disk():
    block, number, tmp = b'x' * (1 << 20), 0, os.environ['TMPDIR']
    while True:
        with open('%s/%d' % (tmp, number), 'wb') as file:
            for _ in range(64):
                file.write(block)
        number += 1

def sockets():
    held = []
    while True:
        held.append(socket.socket())

def threads():
    while True:
        threading.Thread(target=time.sleep, args=(60,)).start()

def cpu():
    for _ in range(8):
        if os.fork() == 0:
            while True: pass
    while True: pass

def orphans():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return os.getpid()

def forge():
    for fd in range(3, 300):
        try:
            os.write(fd, b'\\xff' * 64)
        except OSError:
            pass
    return 'honest'

def handler(event, context):
    return globals()[event]()
`;

const HOSTILE_NODE = `
exports.handler = async (event) => {
  if (event === 'memory') { const held = []; for (;;) held.push(Buffer.alloc(4 << 20, 1)); }
  if (event === 'heap') { const held = []; for (;;) held.push(new Array(1e5).fill({})); }
  if (event === 'files') { const fs = require('fs'); const held = []; try { for (;;) held.push(fs.openSync('/dev/null')); } catch (error) { return error.code; } }
  return 'ok';
};
`;

const tiers: Tier[] = process.platform === 'linux' ? ['A', 'B'] : [];

describe.each(tiers)('a hostile function in tier %s', (tier) => {
  let dataDir: string;
  let sandbox: Sandbox | undefined;
  let python: string;
  const closing: DrivenSlot[] = [];

  const start = async (kind: 'python' | 'node', memoryMb = 128): Promise<DrivenSlot> => {
    const files: Record<string, string> = kind === 'python' ? { 'index.py': HOSTILE_PYTHON } : { 'index.js': HOSTILE_NODE };
    const slot = await DrivenSlot.start(sandbox!.launcher, {
      kind,
      interpreter: kind === 'python' ? python : process.execPath,
      files,
      dataDir,
      memoryMb,
    });
    closing.push(slot);
    return slot;
  };
  const contained = (title: string, check: () => Promise<void>): void =>
    it(title, async () => (sandbox ? check() : console.warn(`not shown here: tier ${tier} is missing`)));

  /** A slot of somebody else, called again and again; the slowest of its answers, milliseconds. */
  const bystanderDuring = async (work: () => Promise<unknown>): Promise<number> => {
    const files = { 'index.js': 'exports.handler = async (event) => event;' };
    const other = await DrivenSlot.start(sandbox!.launcher, { kind: 'node', interpreter: process.execPath, files, dataDir });
    closing.push(other);
    let ended = false;
    const running = work().finally(() => {
      ended = true;
    });
    const times: number[] = [];
    while (!ended || times.length < 20) {
      const startedAt = performance.now();
      expect((await other.call(times.length)).result).toBe(times.length);
      times.push(performance.now() - startedAt);
      await sleep(10);
    }
    await running;
    return times.sort((a, b) => a - b)[Math.floor(times.length * 0.95)]!;
  };

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'fns-data-'));
    sandbox = await openSandbox({ dataDir, tiers: [tier] }).catch(() => undefined);
    python = sandbox?.found.runtimes.find(({ runtime, works }) => works && runtime.startsWith('python'))?.path ?? '';
    if (!python) sandbox = undefined;
  });
  afterEach(async () => {
    for (const slot of closing.splice(0)) await slot.end();
  });
  afterAll(async () => {
    await sandbox?.launcher.close?.();
    rmSync(dataDir, { recursive: true, force: true });
  });

  contained('that forks without end reaches its process limit, and all of it ends with the slot', async () => {
    const slot = await start('python');
    const before = processes();
    const p95 = await bystanderDuring(async () => {
      slot.post('forks');
      await until(() => processes() > before + 200, 20_000);
      await sleep(500);
      expect(processes()).toBeLessThan(before + 300);
      await slot.end();
    });
    await until(() => processes() < before + 20, 5000);
    expect(p95).toBeLessThan(500);
  });

  contained('that starts threads without end gets an error of its own', async () => {
    const slot = await start('python');
    expect((await slot.call('threads')).error?.type).toBe('RuntimeError');
  });

  for (const [kind, what] of [
    ['python', 'memory'],
    ['node', 'memory'],
    ['node', 'heap'],
  ] as const) {
    contained(`that takes memory without end (${kind}, ${what}) is ended at its limit`, async () => {
      const slot = await start(kind);
      let peak = 0;
      const watch = setInterval(() => {
        peak = Math.max(peak, slot.launched.rssBytes());
      }, 5);
      const { ended, error } = await slot.call(what);
      clearInterval(watch);
      // The limit is 128 MB and the runtime's 48; pages of the program's file count here and not there.
      expect(peak / (1 << 20)).toBeLessThan(128 + 48 + 64);
      // V8 ends itself at its own heap limit; whatever lies outside of that heap meets the cgroup.
      if (what === 'memory' && slot.launched.capsMemory) expect([ended?.oom, error]).toEqual([true, undefined]);
    });
  }

  contained('that fills its disk gets an error of its own, and the machine keeps its space', async () => {
    const slot = await start('python', 256);
    const free = (): number => statfsSync(dataDir).bavail * statfsSync(dataDir).bsize;
    const before = free();
    const { error, ended } = await slot.call('disk');
    expect(error?.message ?? ended).toEqual(expect.stringContaining('No space left'));
    expect(before - free()).toBeLessThan(64 << 20);
  });

  contained('that opens sockets or files without end gets an error of its own', async () => {
    const [one, two] = [await start('python'), await start('node')];
    expect((await one.call('sockets')).error?.message).toContain('Too many open files');
    expect((await two.call('files')).result).toBe('EMFILE');
  });

  contained('that pins every CPU leaves the others served', async () => {
    const slot = await start('python');
    const p95 = await bystanderDuring(async () => {
      slot.post('cpu');
      await sleep(1500);
      await slot.end();
    });
    expect(p95).toBeLessThan(200);
  });

  contained('that leaves orphans behind takes them with it', async () => {
    const before = processes();
    const slot = await start('python');
    await slot.call('orphans');
    await slot.end();
    await until(() => processes() <= before + 1, 5000);
  });

  contained('that writes into every descriptor it finds forges no answer', async () => {
    const slot = await start('python');
    // Its descriptor is found, but what lands there breaks the protocol, and the slot ends.
    expect(await slot.call('forge')).toMatchObject({ ended: { signal: 'SIGKILL' } });
  });

  contained('that is stopped neither runs nor outlives its end', async () => {
    const slot = await start('python');
    slot.post('cpu');
    await sleep(200);
    slot.launched.freeze();
    await sleep(50);
    const used = cpuTicksOf(slot.launched.pid);
    await sleep(300);
    expect(cpuTicksOf(slot.launched.pid) - used).toBeLessThanOrEqual(2);
    slot.launched.kill();
    expect((await slot.launched.exited).oom).toBe(false);
  });
});

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Processes of slots' users: nobody else has their uids. */
function processes(): number {
  const uids = execFileSync('ps', ['-eo', 'uid='], { encoding: 'utf8' }).split('\n').map(Number);
  return uids.filter((uid) => uid >= 1_900_000 && uid < 1_910_000).length;
}

/** CPU time of the process and its descendants, in ticks of 10 ms. */
function cpuTicksOf(root: number): number {
  let ticks = 0;
  const members = new Set([root]);
  for (const name of readdirSync('/proc')
    .filter((each) => /^\d+$/.test(each))
    .sort((a, b) => Number(a) - Number(b))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (!members.has(Number(name)) && !members.has(Number(fields[1]))) continue;
      members.add(Number(name));
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It ended meanwhile.
    }
  }
  return ticks;
}

async function until(check: () => boolean, withinMs: number): Promise<void> {
  const end = Date.now() + withinMs;
  while (!check()) {
    if (Date.now() > end) throw new Error('waited in vain');
    await sleep(20);
  }
}
