import { readFileSync } from 'node:fs';
import { Platform, until } from './platform.js';

const MB = 1024 * 1024;

describe('logs', () => {
  const platform = new Platform();
  beforeAll(() => platform.start());
  afterAll(() => platform.dispose());

  const memoryMb = (): number => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${platform.child?.pid}/status`, 'utf8'))?.[1]) / 1024;

  it('a line is found within 100 ms of the answer, without its secret', async () => {
    const { functionId } = await platform.function(
      "exports.handler = async (e) => { console.log('login', { user: 'ada', password: e.password }); };",
    );
    const { json } = await platform.sync(functionId, { password: 'hunter2hunter2' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const { items } = await platform.ok('GET', `/functions/${functionId}/logs?requestId=${json.requestId}`);
    expect(items.map(({ message }: { message: string }) => message)).toEqual(["login { user: 'ada', password: '[redacted:secret]' }"]);
  });

  it('a handler that prints 200 MB costs bounded memory and disk, and is told what was left out', async () => {
    const code =
      "exports.handler = async () => { const line = 'x'.repeat(99); for (let i = 0; i < 2_000_000; i += 1) { process.stdout.write(line + '\\n') || await new Promise((r) => process.stdout.once('drain', r)); } return 'done'; };";
    const { functionId } = await platform.function(code, { timeoutSec: 120, memoryMb: 256 });
    const bystander = await platform.function('exports.handler = async () => 1;');
    const before = memoryMb();
    const printing = platform.sync(functionId, null);
    const waits: number[] = [];
    let isDone = false;
    void printing.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      const startedAt = performance.now();
      expect((await platform.sync(bystander.functionId, null)).json.status).toBe('SUCCEEDED');
      waits.push(performance.now() - startedAt);
    }
    expect(memoryMb() - before).toBeLessThan(150);
    const lines = await until('the cut is told', async () => {
      const all = await platform.all(`/functions/${functionId}/logs`);
      return all.some(({ stream }) => stream === 'platform') && all;
    });
    expect(lines.reduce((sum, { message }) => sum + message.length, 0)).toBeLessThan(11 * MB);
    expect(waits.sort((a, b) => a - b)[Math.floor(waits.length / 2)]).toBeLessThan(500);
  });

  it('lines that were found once are found after kill -9, too', async () => {
    const { functionId } = await platform.function("exports.handler = async (e) => { console.log('call', e); };");
    for (let n = 0; n < 20; n += 1) await platform.sync(functionId, n);
    const before = await until('all are found', async () => {
      const all = await platform.all(`/functions/${functionId}/logs`);
      return all.length === 20 && all;
    });
    await platform.kill();
    await platform.start();
    expect(await platform.all(`/functions/${functionId}/logs`)).toEqual(before);
    await platform.sync(functionId, 'after');
    await until('a new line follows', async () => (await platform.all(`/functions/${functionId}/logs`)).at(-1)?.message === 'call after');
  });

  it('a follower does not keep the platform from stopping', async () => {
    const { functionId } = await platform.function('exports.handler = async () => 1;');
    const stream = await fetch(`${platform.url}/api/v1/functions/${functionId}/logs?follow=true`, {
      headers: { authorization: 'Bearer fns_e2e_0123456789abcdef0123456789abcdef' },
    });
    const reading = stream.text().catch(() => 'cut');
    const startedAt = performance.now();
    expect(await platform.stop()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    await reading;
  });
});
