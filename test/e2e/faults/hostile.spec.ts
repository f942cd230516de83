import { Platform, until } from '../platform.js';
import { Bystander } from './bystander.js';
import { memoryGrowth, processTree } from './processes.js';

/**
 * Functions that mean harm, called through HTTP in the best sandbox tier of this machine, several of each at once. Each
 * ends as a fault of its own, leaves nothing behind, and a bystander's p95 stays what it is.
 */

const TIMEOUT_SEC = 2;
const AT_ONCE = 2;

// biome-ignore lint/suspicious/noExplicitAny: answers as they come
type Ended = any;

interface Hostile {
  does: string;
  code: string | Record<string, string>;
  settings?: Record<string, unknown>;
  ends(answer: Ended): void;
}

const ended = (...states: string[]) => {
  return ({ status, error }: Ended) => {
    const [state, ...types] = states;
    expect({ status, type: error?.type }).toEqual({
      status: state,
      type: types.length ? expect.stringMatching(types.join('|')) : undefined,
    });
  };
};
const late = ended('TIMED_OUT', 'Runtime.Timeout');
const node = (body: string, before = '') => `${before}\nexports.handler = async (event) => { ${body} };`;
const python = (body: string) => ({
  'index.py': `import os, socket, time\ndef handler(event, context):\n${body.replace(/^/gm, '    ')}\n`,
});
const PYTHON = { runtime: 'python3.11' };
const frame = (type: number, body: string) =>
  `const body = ${body}; const f = Buffer.alloc(5 + body.length); f.writeUInt32LE(body.length + 1); f[4] = ${type}; body.copy(f, 5);`;

const hostiles: Hostile[] = [
  { does: 'loops', code: node('for (;;);'), ends: late },
  {
    does: 'prints without end and never yields',
    code: node("for (;;) console.log('x'.repeat(1000));"),
    ends: ({ status }) => expect(['TIMED_OUT', 'FAILED']).toContain(status),
  },
  {
    does: 'prints without end as fast as it is taken',
    code: node("for (;;) process.stdout.write('y'.repeat(65536)) || await new Promise((r) => process.stdout.once('drain', r));"),
    ends: late,
  },
  {
    does: 'floods the raw descriptors of its output',
    code: node(
      "const fs = require('fs'); const b = Buffer.alloc(65536, 122); for (;;) for (const fd of [1, 2]) try { fs.writeSync(fd, b); } catch {}",
    ),
    ends: late,
  },
  {
    does: 'floods the channel of the platform with well-formed log frames',
    code: node(`const fs = require('fs'); ${frame(23, 'Buffer.concat([Buffer.from([1, 0, 0, 0, 1]), Buffer.alloc(60000, 97)])')}
      for (;;) for (let at = 0; at < f.length; ) try { at += fs.writeSync(3, f, at); } catch {}`),
    ends: ({ status }) => expect(['TIMED_OUT', 'FAILED']).toContain(status),
  },
  {
    does: 'floods every descriptor that it finds with garbage',
    code: python(
      "for n in range(200):\n    for fd in range(3, 300):\n        try:\n            os.write(fd, b'\\xff' * 4096)\n        except OSError:\n            pass\ntime.sleep(10)",
    ),
    settings: PYTHON,
    ends: ended('FAILED', 'Runtime.ProtocolError'),
  },
  {
    does: 'forges the answer of another call',
    code: node(
      `${frame(19, "Buffer.from('\\x09\\0\\0\\0{\"forged\":true}', 'latin1')")} require('fs').writeSync(3, f); await new Promise((r) => setTimeout(r, 5000));`,
    ),
    ends: ended('FAILED', 'Runtime.ProtocolError'),
  },
  { does: 'exits', code: node('process.exit(3);'), ends: ended('FAILED', 'Runtime.ExitError') },
  {
    does: 'kills its parent and whatever else it can name',
    code: node(`const can = []; for (const pid of [process.ppid, 1, -1, ...Array.from({ length: 3000 }, (_, n) => n + 2)]) {
      if (pid !== process.pid) try { process.kill(pid, 'SIGKILL'); can.push(pid); } catch {} }
      await new Promise((r) => setTimeout(r, 200)); return 'still here';`),
    // Where it names everybody (-1) it may meet itself; nobody else does.
    ends: ({ status, result, error }) =>
      expect([result, error?.type]).toContain(status === 'SUCCEEDED' ? 'still here' : 'Runtime.ExitError'),
  },
  {
    does: 'forks without end',
    code: python('while True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.01)'),
    settings: PYTHON,
    ends: ({ status }) => expect(['TIMED_OUT', 'FAILED']).toContain(status),
  },
  {
    does: 'starts programs without end',
    code: node(
      "const { spawn } = require('child_process'); for (;;) { spawn('sleep', ['60']).on('error', () => {}); await new Promise(setImmediate); }",
    ),
    ends: ({ status }) => expect(['TIMED_OUT', 'FAILED']).toContain(status),
  },
  {
    does: 'fills its disk',
    code: node(`const fs = require('fs'); const b = Buffer.alloc(1 << 20, 1); const seen = [];
      for (const folder of ['/tmp', '/var/tmp', '/dev/shm', '/var/task', process.cwd(), '/']) {
        try { const fd = fs.openSync(folder + '/big', 'w'); for (;;) fs.writeSync(fd, b); } catch (error) { seen.push(error.code); } }
      return seen;`),
    settings: { memoryMb: 256, timeoutSec: 20 },
    ends: ({ status, result }) => {
      expect(status).toBe('SUCCEEDED');
      for (const code of result) expect(code).toMatch(/^(ENOSPC|EROFS|EACCES|ENOENT|EFBIG)$/);
    },
  },
  {
    does: 'opens sockets without end',
    code: python('held = []\nwhile True:\n    held.append(socket.socket())'),
    settings: PYTHON,
    ends: ended('FAILED', 'OSError'),
  },
  {
    does: 'connects to the platform without end',
    code: node(`const net = require('net'); const held = []; const end = Date.now() + 1500; let open = 0;
      while (Date.now() < end) { const s = net.connect(event.port, '127.0.0.1'); s.on('connect', () => { open += 1; }).on('error', () => {}); held.push(s); await new Promise(setImmediate); }
      return open;`),
    ends: ({ status, result }) => expect([status, result]).toEqual(['SUCCEEDED', 0]),
  },
  {
    does: 'pins every CPU with children',
    code: python('for _ in range(8):\n    if os.fork() == 0:\n        while True: pass\nwhile True: pass'),
    settings: PYTHON,
    ends: late,
  },
  {
    does: 'takes memory without end',
    code: node('const held = []; for (;;) { held.push(Buffer.alloc(4 << 20, 1)); await new Promise(setImmediate); }'),
    settings: { timeoutSec: 20 },
    ends: ended('FAILED', 'Runtime.OutOfMemory'),
  },
  {
    does: 'leaves timers and children that burn behind its answer',
    code: node(
      "setInterval(() => { for (const end = Date.now() + 50; Date.now() < end; ); }, 1); require('child_process').spawn('sh', ['-c', 'while :; do :; done'], { detached: true, stdio: 'ignore' }).unref(); return 'answered';",
    ),
    ends: ({ status, result }) => expect([status, result]).toEqual(['SUCCEEDED', 'answered']),
  },
];

describe('a hostile function', () => {
  const platform = new Platform();
  let bystander: Bystander;
  let idle: number;
  const processes = () => processTree(platform.child?.pid as number).length;

  beforeAll(async () => {
    await platform.start();
    bystander = await Bystander.of(platform);
    idle = processes();
  });
  afterAll(() => platform.dispose());

  it.each(hostiles.map((each) => [each.does, each] as const))('that %s harms only itself', async (_does, { code, settings, ends }) => {
    const { functionId } = await platform.function(code, { timeoutSec: TIMEOUT_SEC, ...settings });
    const grownMb = memoryGrowth(platform.child?.pid as number);
    const calls = await bystander.notices(() =>
      Promise.all(Array.from({ length: AT_ONCE }, () => platform.sync(functionId, { port: platform.port }))),
    );
    for (const { status, json } of calls) {
      expect(status).toBe(200);
      ends(json);
    }
    await platform.ok('DELETE', `/functions/${functionId}`);
    await until('nothing of it is left', async () => processes() <= idle + 4);
    expect((await platform.call('GET', '/readyz', { root: true })).status).toBe(200);
    expect(grownMb()).toBeLessThan(200);
  });
});
