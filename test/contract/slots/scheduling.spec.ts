import { readFileSync } from 'node:fs';
import type { RequestId } from '../../../lib/core/ids.js';
import { parseMeterLines } from '../../../lib/core/metering/meter-line.js';
import type { SlotEnd } from '../../../lib/core/scheduling/port.js';
import { AttemptMeter, meterFileName } from '../../../lib/slots/meter.js';
import { isAlive, Rig } from './rig';

const SLEEP = 'exports.handler = async (e) => { await new Promise((r) => setTimeout(r, e.ms)); return { pid: process.pid, i: e.i }; };';
const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));

describe('pools place calls on slots', () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig({ spares: 2 });
  });
  afterEach(() => rig.close());

  it('the first call is a cold start, the next ones are not', async () => {
    const fn = rig.fn(SLEEP);
    const ends = [await rig.run(fn, { ms: 12 }), await rig.run(fn, { ms: 12 })];
    expect(ends.map(({ coldStart }) => coldStart)).toEqual([true, false]);
    for (const { durationMs } of ends) {
      expect(durationMs).toBeGreaterThanOrEqual(11);
      expect(Math.round(durationMs * 1000) / 1000).toBe(durationMs);
    }
    expect(rig.events.filter(({ kind }) => kind === 'started')).toHaveLength(1);
  });

  it('a prewarmed slot serves its first call without a cold start, and stays through long idleness', async () => {
    const fn = rig.fn(SLEEP, { minSlots: 1 });
    rig.invoker.keepWarm(fn);
    await rig.until('it is warm', () => rig.invoker.counts(fn.functionId).idle === 1);
    rig.clock.skip(3_600_000);
    await wait(50);
    expect((await rig.run(fn, { ms: 1 })).coldStart).toBe(false);
    const { pid } = (await rig.result(fn, { ms: 1 })) as { pid: number };
    process.kill(pid, 'SIGKILL');
    await rig.until('a lost one is replaced', () => !isAlive(pid) && rig.invoker.counts(fn.functionId).idle === 1);
  });

  it('calls longer than a cold start run side by side, in slots of their own', async () => {
    const fn = rig.fn(SLEEP);
    await rig.run(fn, { ms: 400 });
    const startedAt = performance.now();
    const all = (await Promise.all([1, 2, 3, 4].map((i) => rig.result(fn, { ms: 400, i })))) as { pid: number; i: number }[];
    // One after the other they would take 1,600 ms.
    expect(performance.now() - startedAt).toBeLessThan(1_550);
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(4);
    expect(all.map(({ i }) => i)).toEqual([1, 2, 3, 4]);
  });

  it('short calls share one slot', async () => {
    const fn = rig.fn('exports.handler = async () => process.pid;');
    for (let n = 0; n < 50; n += 1) await rig.result(fn);
    const pids = new Set<unknown>();
    for (let round = 0; round < 20; round += 1)
      for (const pid of await Promise.all(Array.from({ length: 32 }, () => rig.result(fn)))) pids.add(pid);
    // One, unless this machine stood still in between.
    expect(pids.size).toBeLessThanOrEqual(3);
  });

  it('never more slots than maxSlots, and every call has its turn', async () => {
    const fn = rig.fn(SLEEP, { maxSlots: 2 });
    const all = (await Promise.all([1, 2, 3, 4, 5, 6].map((i) => rig.result(fn, { ms: 60, i })))) as { pid: number }[];
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(2);
  });

  it('a call that gets no slot within its wait is told so, and has not started', async () => {
    const fn = rig.fn(SLEEP, { maxSlots: 1 });
    const running = rig.run(fn, { ms: 600 });
    await rig.until('it runs', () => rig.invoker.counts().busy === 1);
    const startedAt = performance.now();
    expect(await rig.invoker.run(fn, rig.call({}, { slotWaitMs: 100 }))).toEqual({ kind: 'busy' });
    expect(performance.now() - startedAt).toBeLessThan(590);
    expect((await running).kind).toBe('succeeded');
  });

  it('calls queued ahead in a slot go elsewhere when it dies, and only the one that ran fails', async () => {
    const fn = rig.fn("exports.handler = async (e) => { if (e.die) { await 1; process.kill(process.pid, 'SIGKILL'); } return e.i; };", {
      maxSlots: 1,
    });
    for (let n = 0; n < 200; n += 1) await rig.result(fn, { i: 0 });
    for (let round = 0; round < 5; round += 1) {
      const calls = Array.from({ length: 24 }, (_, i) => rig.run(fn, { i, die: i === 7 }));
      const ends = await Promise.all(calls);
      expect(ends.map((end) => (end.kind === 'succeeded' ? Number(end.result) : end.error.type))).toEqual(
        Array.from({ length: 24 }, (_, i) => (i === 7 ? 'Runtime.ExitError' : i)),
      );
    }
  });

  it('calls queued ahead of a call that blocks are called back or served after it, none is lost', async () => {
    const fn = rig.fn('exports.handler = async (e) => { if (e.ms) await new Promise((r) => setTimeout(r, e.ms)); return e.i; };', {
      timeoutSec: 1,
    });
    for (let n = 0; n < 200; n += 1) await rig.result(fn, { i: 0 });
    const slow = rig.run(fn, { ms: 60_000 });
    const quick = await Promise.all(Array.from({ length: 20 }, (_, i) => rig.result(fn, { i })));
    expect(quick).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect((await slow).kind).toBe('timedOut');
  });

  it('a busy loop takes only itself down, those behind it are served by another slot', async () => {
    const fn = rig.fn('exports.handler = async (e) => { if (e.loop) for (;;); return e.i; };', { timeoutSec: 1 });
    for (let n = 0; n < 200; n += 1) await rig.result(fn, { i: 0 });
    const calls = Array.from({ length: 12 }, (_, i) => rig.run(fn, { i, loop: i === 3 }));
    const ends = await Promise.all(calls);
    expect(ends.map((end) => (end.kind === 'succeeded' ? Number(end.result) : end.kind))).toEqual(
      Array.from({ length: 12 }, (_, i) => (i === 3 ? 'timedOut' : i)),
    );
  });

  it('an idle slot is frozen after 50 ms, runs nothing then, and thaws for its next call', async () => {
    const fn = rig.fn('let ticks = 0; setInterval(() => { ticks += 1; }, 1); exports.handler = async () => [process.pid, ticks];');
    const [pid, before] = (await rig.result(fn)) as [number, number];
    await rig.until('it is stopped', () => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.startsWith('T'));
    await wait(300);
    const [, after] = (await rig.result(fn)) as [number, number];
    expect(after - before).toBeLessThan(150);
    expect((await rig.run(fn)).coldStart).toBe(false);
  });

  it('an idle slot goes after 10 minutes', async () => {
    const fn = rig.fn('exports.handler = async () => process.pid;');
    const pid = (await rig.result(fn)) as number;
    rig.clock.skip(599_000);
    await wait(30);
    expect(await rig.result(fn)).toBe(pid);
    rig.clock.skip(605_000);
    await rig.until('it has ended', () => !isAlive(pid), 8000);
    expect(rig.invoker.counts()).toEqual({ starting: 0, idle: 0, busy: 0 });
    expect((await rig.run(fn)).coldStart).toBe(true);
  });

  it('new code takes over while calls run: none fails, old slots end after their calls', async () => {
    const source = (v: string) => `exports.handler = async () => { await new Promise((r) => setTimeout(r, 5)); return '${v}'; };`;
    const old = rig.fn(source('old'));
    const fresh = { ...rig.fn(source('new')), functionId: old.functionId, key: `${old.key}.2` };
    let spec = old;
    const answers: unknown[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let n = 0; n < 40; n += 1) {
          answers.push(await rig.result(spec));
          if (answers.length === 120) {
            spec = fresh;
            rig.invoker.keepWarm(fresh);
          }
        }
      }),
    );
    expect(answers.slice(0, 50)).toEqual(Array(50).fill('old'));
    expect(answers.slice(-50)).toEqual(Array(50).fill('new'));
    // A caller that had read the old version before the swap is still served.
    expect(await rig.result(old)).toBe('old');
    expect(await rig.result(fresh)).toBe('new');
    await rig.until(
      'only the new one has slots',
      () => rig.launcher.launched.filter(({ pid }) => isAlive(pid)).length <= 2 + rig.invoker.counts().idle,
    );
  });

  it('a published version keeps its slots when the draft changes', async () => {
    const draft = rig.fn('exports.handler = async () => process.pid;');
    const published = { ...draft, version: '1', key: `${draft.key}@1` };
    const pid = await rig.result(published);
    await rig.result(draft);
    await rig.result({ ...draft, key: `${draft.key}.2` });
    expect(await rig.result(published)).toBe(pid);
  });

  it('retire ends a function after its running calls', async () => {
    const fn = rig.fn(SLEEP);
    const running = rig.result(fn, { ms: 200 });
    await rig.until('it runs', () => rig.invoker.counts().busy === 1);
    rig.invoker.retire(fn.functionId);
    const { pid } = (await running) as { pid: number };
    await rig.until('its slot has ended', () => !isAlive(pid));
    expect(rig.invoker.counts(fn.functionId)).toEqual({ starting: 0, idle: 0, busy: 0 });
  });

  it('drain lets running calls end, takes no new ones, and leaves no process', async () => {
    const fn = rig.fn(SLEEP);
    const running = rig.run(fn, { ms: 300 });
    await rig.until('it runs', () => rig.invoker.counts().busy === 1);
    const drained = rig.invoker.drain(5000);
    expect(await rig.invoker.run(fn, rig.call())).toEqual({ kind: 'busy' });
    expect((await running).kind).toBe('succeeded');
    await drained;
    expect(rig.launcher.launched.filter(({ pid }) => isAlive(pid))).toEqual([]);
  });

  it('a drain that has no more time loses what still runs, by our fault', async () => {
    const fn = rig.fn(SLEEP);
    const running = rig.run(fn, { ms: 4000 });
    await rig.until('it runs', () => rig.invoker.counts().busy === 1);
    await rig.invoker.drain(50);
    expect(await running).toMatchObject({ kind: 'lost', error: { type: 'Platform.SlotLost' } });
  });

  it('within the memory budget the least valuable idle slot makes room', async () => {
    const tight = new Rig({ memoryBudgetMb: 256 });
    const [a, b, c] = [1, 2, 3].map(() => tight.fn('exports.handler = async () => process.pid;'));
    const first = (await tight.result(a!)) as number;
    const second = (await tight.result(b!)) as number;
    for (let n = 0; n < 20; n += 1) await tight.result(a!);
    await tight.result(c!);
    expect([isAlive(first), isAlive(second)]).toEqual([true, false]);
    await tight.close();
  });

  it('where memory is full of running calls, another function waits for it', async () => {
    const tight = new Rig({ memoryBudgetMb: 128 });
    const running = tight.run(tight.fn(SLEEP), { ms: 300 });
    await tight.until('it runs', () => tight.invoker.counts().busy === 1);
    expect((await tight.run(tight.fn(SLEEP), { ms: 1 })).kind).toBe('succeeded');
    expect((await running).kind).toBe('succeeded');
    await tight.close();
  });

  it('no prepared process ever serves two tenants, or two functions', async () => {
    const fns = Array.from({ length: 6 }, (_, n) => rig.fn('exports.handler = async () => process.pid;', { tenantId: `t${n}` as never }));
    const pids = await Promise.all(fns.map((fn) => rig.result(fn)));
    expect(new Set(pids).size).toBe(6);
  });

  it('the meter holds every attempt that ran, as it was answered', async () => {
    const meter = new AttemptMeter(`${rig.folder}/meter`);
    const metered = new Rig({ meter });
    const fn = metered.fn(
      'exports.handler = async (e) => { if (e === 1) throw new Error("x"); if (e === 2) await new Promise(() => {}); };',
      { timeoutSec: 1 },
    );
    const calls = [0, 1, 2].map((n) => metered.call(n, { attempt: n + 1 }));
    const ends: SlotEnd[] = [];
    for (const call of calls) ends.push(await metered.invoker.run(fn, call));
    await metered.run(metered.fn('throw 1'));
    await metered.close();
    const entries = parseMeterLines(readFileSync(`${rig.folder}/meter/${meterFileName(Date.now())}`, 'utf8'));
    expect(entries.map(({ requestId, attempt, billedMs }) => [requestId, attempt, billedMs])).toEqual(
      calls.map(({ requestId, attempt }, n) => [
        requestId as RequestId,
        attempt,
        Math.max(1, Math.ceil((ends[n] as { durationMs: number }).durationMs)),
      ]),
    );
  });
});
