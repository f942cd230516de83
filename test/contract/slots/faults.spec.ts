import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, Rig } from './rig';

/** A function that does `code` unless it is asked to be fine. */
const bad = (code: string): Record<string, string> => ({
  'index.js': `const first = require('./bad.js').handler;\nexports.handler = (e, c, cb) => e.ok ? cb(null, 'fine') : first(e, c, cb);`,
  'bad.js': code,
});

describe('faults of tenant code stay with the call', () => {
  const rig = new Rig({ spares: 2 });
  afterAll(() => rig.close());

  it.each([
    ['throws', "exports.handler = async () => { throw new TypeError('no such luck'); };", 'TypeError', /no such luck/, /bad\.js/],
    ['throws at once', "exports.handler = () => { throw new RangeError('at once'); };", 'RangeError', /at once/, /bad\.js/],
    ['rejects', "exports.handler = () => Promise.reject(new Error('rejected it'));", 'Error', /rejected it/, /bad\.js/],
    ['rejects with a text', "exports.handler = () => Promise.reject('only text');", 'string', /only text/, undefined],
    ['rejects with nothing', 'exports.handler = () => Promise.reject();', 'undefined', /undefined/, undefined],
    ['rejects with an object', 'exports.handler = () => Promise.reject({ code: 7 });', 'object', /"code":7/, undefined],
    [
      'calls back with an error',
      "exports.handler = (e, c, callback) => callback(new Error('called back'));",
      'Error',
      /called back/,
      /bad\.js/,
    ],
    [
      'throws later',
      "exports.handler = () => new Promise(() => setTimeout(() => { throw new Error('later'); }, 5));",
      'Error',
      /later/,
      /bad\.js/,
    ],
    [
      'leaves a rejection',
      "exports.handler = () => new Promise(() => { Promise.reject(new Error('left')); });",
      'Error',
      /left/,
      /bad\.js/,
    ],
    ['calls process.exit', 'exports.handler = async () => process.exit(3);', 'Runtime.ExitError', /exit code 3/, undefined],
    ['aborts', 'exports.handler = async () => process.abort();', 'Runtime.ExitError', /abort/, undefined],
    ['kills itself', "exports.handler = async () => process.kill(process.pid, 'SIGKILL');", 'Runtime.ExitError', /SIGKILL/, undefined],
    [
      'returns a circle',
      'exports.handler = async () => { const a = {}; a.a = a; return a; };',
      'Runtime.MarshalError',
      /circular/,
      undefined,
    ],
    ['returns a BigInt', 'exports.handler = async () => 1n;', 'Runtime.MarshalError', /BigInt/, undefined],
    ['returns a function', 'exports.handler = async () => () => 1;', 'Runtime.MarshalError', /function/, undefined],
    [
      'throws something hostile',
      "exports.handler = async () => { throw { get message() { throw 1; }, stack: '' }; };",
      'Error',
      /cannot be shown/,
      undefined,
    ],
    ['returns 7 MB', "exports.handler = async () => 'x'.repeat(7 * 1024 * 1024);", 'Function.ResponseTooLarge', /limit is/, undefined],
    [
      'nests without end',
      'exports.handler = async () => { let a = []; for (let n = 0; n < 1e5; n += 1) a = [a]; return a; };',
      'Runtime.MarshalError',
      /./,
      undefined,
    ],
    ['overflows its stack', 'const f = () => f() + 1; exports.handler = async () => f();', 'RangeError', /call stack/, /bad\.js/],
  ])('a handler that %s fails, and the next call is served', async (_what, code, type, message, stack) => {
    const fn = rig.fn(bad(code));
    const end = await rig.failure(fn);
    expect([end.kind, end.error.type]).toEqual(['failed', type]);
    expect(end.error.message).toMatch(message);
    if (stack) expect((end.error.stack ?? []).join('\n')).toMatch(stack);
    expect((end.error.stack ?? []).join('\n')).not.toMatch(/runtime-node/);
    expect(end.durationMs).toBeGreaterThan(0);
    expect(await rig.result(fn, { ok: true })).toBe('fine');
  });

  it.each([
    ['is missing', { 'index.js': 'exports.other = 1;' }, 'Runtime.HandlerNotFound', /index\.handler/],
    ['is no function', { 'index.js': 'exports.handler = 1;' }, 'Runtime.HandlerNotFound', /no function/],
    ['has no file', { 'other.js': '' }, 'Runtime.ImportModuleError', /index/],
    ['has no parsable file', { 'index.js': 'exports.handler = async ( => {' }, 'Runtime.UserCodeSyntaxError', /Unexpected/],
    ['wants a package that is not there', { 'index.js': "require('not-there');" }, 'Runtime.ImportModuleError', /not-there/],
    ['throws while it loads', { 'index.js': "throw new TypeError('at load');" }, 'TypeError', /at load/],
    ['exits while it loads', { 'index.js': 'process.exit(4);' }, 'Runtime.ExitError', /exit code 4/],
    [
      'throws soon after it loads',
      { 'index.mjs': "setTimeout(() => { throw new Error('soon'); }, 5); await new Promise(() => undefined);" },
      'Error',
      /soon/,
    ],
  ])('a handler that %s fails to start, and says why', async (_what, files, type, message) => {
    const end = await rig.failure(rig.fn(files));
    expect([end.kind, end.error.type, end.durationMs]).toEqual(['initFailed', type, 0]);
    expect(end.error.message).toMatch(message);
  });

  it('a handler name that is none, or points out of the code, is refused', async () => {
    for (const handler of ['index', '.handler', '../../x.handler']) {
      expect((await rig.failure(rig.fn('exports.handler = 1;', { handler }))).error.type).toBe('Runtime.MalformedHandlerName');
    }
  });

  it('loading has 10 s, then every call that waits for it is told', async () => {
    const fn = rig.fn('for (;;);');
    const ends = [rig.run(fn), rig.run(fn)];
    await rig.until('it is loading', () => rig.invoker.counts(fn.functionId).starting > 0);
    await new Promise((done) => setTimeout(done, 300));
    rig.clock.skip(10_000);
    for (const end of await Promise.all(ends)) expect(end).toMatchObject({ kind: 'initFailed', error: { type: 'Runtime.InitTimeout' } });
  });

  it.each([
    ['loops', 'for (;;);'],
    ['waits', 'await new Promise(() => setTimeout(() => {}, 60_000));'],
    ['never settles', 'await new Promise(() => {});'],
    ['blocks', 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);'],
  ])('a handler that %s is ended at its timeout, within 100 ms of it', async (_what, code) => {
    const fn = rig.fn(`exports.handler = async (e) => { if (e.ok) return process.pid; ${code} };`, { timeoutSec: 1 });
    const pid = (await rig.result(fn, { ok: true })) as number;
    const startedAt = performance.now();
    const end = await rig.failure(fn);
    const tookMs = performance.now() - startedAt;
    expect([end.kind, end.error.type]).toEqual(['timedOut', 'Runtime.Timeout']);
    expect(tookMs).toBeGreaterThan(990);
    expect(tookMs).toBeLessThan(1150);
    expect(end.durationMs).toBeGreaterThanOrEqual(1000);
    expect(end.durationMs).toBeLessThan(1150);
    expect(isAlive(pid)).toBe(false);
    expect(await rig.result(fn, { ok: true })).not.toBe(pid);
  });

  it('a call that times out beside others leaves them their time', async () => {
    const source = 'exports.handler = async (ms) => { await new Promise((r) => setTimeout(r, ms)); return ms; };';
    const fn = rig.fn(source, { timeoutSec: 1, concurrency: { perSlot: 4 }, maxSlots: 1 });
    await rig.result(fn, 1);
    const late = rig.run(fn, 5000);
    await new Promise((done) => setTimeout(done, 500));
    const other = rig.run(fn, 700);
    expect((await late).kind).toBe('timedOut');
    expect((await other).kind).toBe('succeeded');
    expect(await rig.result(fn, 1)).toBe(1);
  });

  it.each([
    ['heap', 'const kept = []; for (;;) kept.push(new Array(1e5).fill({}));'],
    ['buffers', 'const kept = []; for (;;) { kept.push(Buffer.alloc(8e6, 1)); await new Promise((r) => setTimeout(r, 2)); }'],
  ])('a handler that fills its memory with %s fails as out of memory', async (_what, code) => {
    const fn = rig.fn(`exports.handler = async (e) => { if (e.ok) return 1; ${code} };`, { memoryMb: 128, timeoutSec: 30 });
    expect((await rig.failure(fn)).error.type).toBe('Runtime.OutOfMemory');
    expect(await rig.result(fn, { ok: true })).toBe(1);
  });

  it('what a call leaves behind may break the slot, never a later call', async () => {
    const fn = rig.fn(
      "exports.handler = async (e) => { if (e.mine) setTimeout(() => { throw new Error('left behind'); }, 20); await new Promise((r) => setTimeout(r, e.ms)); return process.pid; };",
    );
    const pid = await rig.result(fn, { mine: true, ms: 1 });
    expect(await rig.result(fn, { ms: 30 })).toBe(pid);
    await rig.until('the slot has ended', () => !isAlive(pid as number));
    expect(await rig.result(fn, { ms: 1 })).not.toBe(pid);
  });

  it('calls that meet a process which ends by itself are served by another', async () => {
    const fn = rig.fn('exports.handler = async (e) => { setTimeout(() => process.exit(0), e); return 1; };');
    for (let n = 0; n < 30; n += 1) {
      const end = await rig.run(fn, n % 3);
      if (end.kind !== 'succeeded') expect(end.error.type).toBe('Runtime.ExitError');
      await new Promise((done) => setTimeout(done, 5));
    }
    expect(await rig.result(fn, 100)).toBe(1);
  });

  const frame = (type: number, body: string) =>
    `const body = ${body}; const f = Buffer.alloc(5 + body.length); f.writeUInt32LE(body.length + 1); f[4] = ${type}; body.copy(f, 5); require('fs').writeSync(3, f);`;
  it.each([
    ['of an unknown type', frame(99, 'Buffer.alloc(4)')],
    ['with an unknown id', frame(19, 'Buffer.from([9, 9, 9, 9, 49])')],
    ['that is too large', "const f = Buffer.alloc(5); f.writeUInt32LE(0x7fffffff); f[4] = 19; require('fs').writeSync(3, f);"],
    ['that says it is ready again', frame(17, 'Buffer.alloc(0)')],
    ['that streams unasked', frame(22, 'Buffer.from([1, 0, 0, 0, 1])')],
    ['that gives back a running call', frame(25, 'Buffer.from([1, 0, 0, 0])')],
    ['of garbage', "require('fs').writeSync(3, Buffer.alloc(64, 255));"],
  ])('a forged frame %s ends the slot', async (_what, code) => {
    const fn = rig.fn(`exports.handler = async (e) => { if (e.ok) return 1; ${code} await new Promise((r) => setTimeout(r, 3000)); };`);
    expect((await rig.failure(fn)).error.type).toBe('Runtime.ProtocolError');
    expect(await rig.result(fn, { ok: true })).toBe(1);
  });

  it('a forged answer is an answer of that call only, and has to be JSON', async () => {
    const forge = (body: string) =>
      rig.fn(`exports.handler = async () => { ${frame(19, body)} await new Promise((r) => setTimeout(r, 1000)); };`);
    expect(await rig.result(forge("Buffer.from('\\x01\\0\\0\\0{\"a\":1}', 'latin1')"))).toEqual({ a: 1 });
    const end = await rig.failure(forge('Buffer.from(\'\\x01\\0\\0\\0{"a":1},"billedMs":0\', \'latin1\')'));
    expect([end.kind, end.error.type]).toEqual(['failed', 'Runtime.MarshalError']);
  });

  it('a function may break its globals: its own calls suffer, the protocol does not', async () => {
    const source = `exports.handler = async () => { JSON.stringify = () => 'x'; JSON.parse = () => { throw 1; }; setTimeout = setImmediate = () => {};
      process.removeAllListeners(); process.exit = () => {}; Buffer.byteLength = Buffer.byteLength; return 1; };`;
    const fn = rig.fn(source);
    expect([await rig.result(fn), await rig.result(fn)]).toEqual([1, 1]);
  });

  it('a broken function fails each of many callers, soon', async () => {
    const fn = rig.fn("throw new Error('never loads');");
    const startedAt = performance.now();
    const ends = await Promise.all(Array.from({ length: 30 }, () => rig.run(fn)));
    expect(new Set(ends.map(({ kind }) => kind))).toEqual(new Set(['initFailed']));
    expect(performance.now() - startedAt).toBeLessThan(8000);
  });

  it('children of a function end with its slot', async () => {
    const fn = rig.fn("exports.handler = async () => require('child_process').spawn('sleep', ['600'], { stdio: 'ignore' }).pid;");
    const pid = (await rig.result(fn)) as number;
    expect(isAlive(pid)).toBe(true);
    rig.invoker.retire(fn.functionId);
    await rig.until('the child has ended', () => !isAlive(pid));
  });

  it('a slot ends when its invoker lets go of it, and is known to have ended', async () => {
    const fn = rig.fn('exports.handler = async () => process.pid;');
    const pid = (await rig.result(fn)) as number;
    const launched = rig.launcher.launched.find((slot) => slot.pid === pid)!;
    launched.thaw();
    launched.socket.destroy();
    await launched.exited;
    expect(await rig.result(fn)).not.toBe(pid);
  });

  it('code that is not there is a fault of ours, and nothing has started', async () => {
    const broken = new Rig({ folders: async () => Promise.reject(new Error('the code store is gone')) });
    const end = await broken.invoker.run(broken.fn(''), broken.call());
    expect(end).toMatchObject({
      kind: 'notStarted',
      error: { type: 'Platform.SlotNotStarted', message: expect.stringMatching(/code store/) },
    });
    expect(broken.invoker.counts()).toEqual({ starting: 0, idle: 0, busy: 0 });
    await broken.close();
    await broken.until('no process is left', () => broken.launcher.launched.every(({ pid }) => !isAlive(pid)));
  });

  it('damaged code is what the function sees, loaded anew with the next slot', async () => {
    const fn = rig.fn("throw new Error('damaged');");
    expect((await rig.failure(fn)).kind).toBe('initFailed');
    writeFileSync(join(rig.folder, fn.codeSha256, 'index.js'), 'exports.handler = async () => 1;');
    expect(await rig.result(fn)).toBe(1);
  });
});
