import { Rig } from './rig';

describe('what a slot prints becomes lines of its calls', () => {
  const rig = new Rig();
  afterAll(() => rig.close());

  const printed = async (fn: ReturnType<Rig['fn']>, payload: unknown = {}): Promise<string[]> => {
    const call = rig.call(payload);
    await rig.invoker.run(fn, call);
    return rig.lines.filter(({ requestId }) => requestId === call.requestId).map(({ stream, message }) => `${stream}: ${message}`);
  };

  it('by console, process.stdout and process.stderr, in order and with the request id, also from timers and awaits', async () => {
    const fn = rig.fn(`exports.handler = async (e) => {
      console.log('said', e.word, { deep: [1] });
      process.stdout.write('half ');
      await new Promise((r) => setTimeout(r, 2));
      process.stdout.write('line\\nand another');
      console.error('warned');
      await new Promise((r) => setImmediate(() => { console.info('deep inside'); r(); }));
    };`);
    expect(await printed(fn, { word: 'grün' })).toEqual([
      'stdout: said grün { deep: [ 1 ] }',
      'stdout: half line',
      'stderr: warned',
      'stdout: and anotherdeep inside',
    ]);
  });

  it('by the raw descriptors and by child processes, with the call that ran', async () => {
    const fn = rig.fn(`exports.handler = async (e) => {
      require('fs').writeSync(1, 'raw out ' + e.n + '\\n');
      require('fs').writeSync(2, 'raw err ' + e.n);
      require('child_process').execSync('echo from a child ' + e.n, { stdio: 'inherit' });
    };`);
    for (const n of [1, 2, 3, 4, 5, 6, 7, 8]) {
      expect((await printed(fn, { n })).sort()).toEqual([`stderr: raw err ${n}`, `stdout: from a child ${n}`, `stdout: raw out ${n}`]);
    }
  });

  it('while the code loads, without a request id', async () => {
    const fn = rig.fn("console.log('loading'); require('fs').writeSync(1, 'raw loading\\n'); exports.handler = async () => 1;");
    expect(await printed(fn)).toEqual([]);
    const own = rig.lines.filter(({ functionId }) => functionId === fn.functionId);
    expect(own.map(({ requestId, message }) => [requestId, message]).sort()).toEqual([
      ['', 'loading'],
      ['', 'raw loading'],
    ]);
  });

  it('side by side, each line with its own call', async () => {
    const source =
      "exports.handler = async (n) => { for (let i = 0; i < 5; i += 1) { console.log('call ' + n); await new Promise((r) => setTimeout(r, 3)); } };";
    const fn = rig.fn(source, { concurrency: { perSlot: 5 }, maxSlots: 1 });
    const all = await Promise.all([1, 2, 3, 4, 5].map((n) => printed(fn, n)));
    expect(all).toEqual([1, 2, 3, 4, 5].map((n) => Array(5).fill(`stdout: call ${n}`)));
  });

  it('after a call has ended, still with its id', async () => {
    const fn = rig.fn(
      "exports.handler = async (e) => { if (e) setTimeout(() => console.log('late'), 5); else await new Promise((r) => setTimeout(r, 30)); };",
    );
    const first = rig.call(true);
    await rig.invoker.run(fn, first);
    expect(await printed(fn, false)).toEqual([]);
    await rig.until('the late line', () => rig.messages(first.requestId).includes('late'));
  });

  it('before a crash, and what the crash says', async () => {
    const fn = rig.fn(
      "exports.handler = async () => { console.log('before'); require('fs').writeSync(2, 'raw before\\n'); process.kill(process.pid, 'SIGKILL'); };",
    );
    // What console printed in the very turn of the kill never left the process; raw output did.
    expect(await printed(fn)).toContain('stderr: raw before');
  });

  it.each([
    ['console', 'for (let n = 0; n < 200; n += 1) console.log(mb);'],
    [
      'raw descriptors',
      "for (let n = 0; n < 200; n += 1) { let rest = Buffer.from(mb); while (rest.length) try { rest = rest.subarray(require('fs').writeSync(1, rest)); } catch (e) { if (e.code !== 'EAGAIN') throw e; } }",
    ],
  ])('up to 10 MB a call: of 200 MB printed by %s the rest is counted, and memory stays bounded', async (_what, code) => {
    const fn = rig.fn(
      `const mb = ('x'.repeat(1023) + '\\n').repeat(1024); exports.handler = async (e) => { if (e.ok) return 1; ${code} return process.memoryUsage().rss; };`,
      { timeoutSec: 60 },
    );
    let kept = 0;
    let dropped: string | undefined;
    const append = (line: { message: string; stream: string }): void => {
      kept += line.message.length;
      if (line.stream === 'platform') dropped = line.message;
    };
    const quiet = new Rig({ logs: { append }, folders: async () => ({ code: `${rig.folder}/${fn.codeSha256}`, layers: [] }) });
    await quiet.result(fn, { ok: true });
    const before = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss - before);
    }, 5);
    expect(await quiet.result(fn)).toBeLessThan(176 * 1024 * 1024);
    clearInterval(watch);
    await quiet.until('the dropped bytes are told', () => dropped);
    const droppedBytes = Number(/^(\d+) bytes/.exec(dropped!)![1]);
    expect(kept).toBeLessThanOrEqual(11 * 1024 * 1024);
    expect(kept).toBeGreaterThan(9 * 1024 * 1024);
    expect(droppedBytes).toBeGreaterThan(185 * 1024 * 1024);
    expect(droppedBytes).toBeLessThanOrEqual(200 * 1024 * 1024 + 1024 * 200);
    expect(most).toBeLessThan(100 * 1024 * 1024);
    expect(await quiet.result(fn, { ok: true })).toBe(1);
    await quiet.close();
  });

  it('in lines of at most 64 KB, and signs that were cut between writes whole', async () => {
    const fn = rig.fn(
      `exports.handler = async () => { console.log('ä'.repeat(100_000)); const b = Buffer.from('€'); require('fs').writeSync(1, b.subarray(0, 1)); require('fs').writeSync(1, b.subarray(1)); };`,
    );
    const lines = await printed(fn);
    const text = lines.map((line) => line.slice('stdout: '.length)).join('');
    expect(lines.every((line) => line.length <= 64 * 1024 + 8)).toBe(true);
    expect(text.replaceAll('ä', '')).toBe('€');
    expect(text.length).toBe(100_001);
  });
});
