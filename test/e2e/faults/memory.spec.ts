import { connect, type Socket } from 'node:net';
import { ADMIN_KEY, Platform, until } from '../platform.js';
import { Bystander } from './bystander.js';
import { memoryGrowth, processTree, residentMb } from './processes.js';

const MB = 1024 * 1024;
const LARGE = 'x'.repeat(6 * MB - 2);

/** What the platform holds is bounded, whatever callers and handlers make it carry. The bounds stand here. */
describe('memory is bounded', () => {
  const platform = new Platform();
  let bystander: Bystander;
  const pid = () => platform.child?.pid as number;

  beforeAll(async () => {
    await platform.start();
    bystander = await Bystander.of(platform);
  });
  afterAll(() => platform.dispose());

  it('1,000 functions that are defined and idle cost no process each, and less than 100 MB in all', async () => {
    const before = { processes: processTree(pid()).length, mb: residentMb(pid()) };
    for (let n = 0; n < 1000; n += 50) {
      await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          platform.ok('POST', '/functions', {
            name: `idle-${n + i}`,
            runtime: 'nodejs20',
            code: { files: { 'index.js': `exports.handler = async () => ${(n + i) % 10};` } },
          }),
        ),
      );
    }
    const functions = await platform.all('/functions');
    expect(functions.length).toBeGreaterThanOrEqual(1000);
    // What checks code at deploy ends by itself when nothing more comes.
    await until('only what was there is there', async () => processTree(pid()).length <= before.processes + 2, 20_000);
    expect(residentMb(pid()) - before.mb).toBeLessThan(100);
    const one = functions.find(({ name }) => name === 'idle-777');
    await bystander.notices(async () => {
      expect((await platform.sync(one.functionId, null)).json.result).toBe(7);
    });
  }, 120_000);

  it('sixty payloads and answers of 6 MB at once cost less than 500 MB: they take their turns', async () => {
    const { functionId } = await platform.function('exports.handler = async (e) => e;', { timeoutSec: 30, memoryMb: 256 });
    const grownMb = memoryGrowth(pid());
    const ends = await Promise.all(Array.from({ length: 60 }, () => largeCall(functionId)));
    const served = ends.filter((end) => end === 6 * MB);
    expect(served.length).toBeGreaterThan(8);
    // Who waited too long for a turn was told so, and nothing ran.
    expect(ends.filter((end) => end !== 6 * MB && end !== 'FNS_503_INVOKER_BUSY')).toEqual([]);
    expect(grownMb()).toBeLessThan(500);
  }, 90_000);

  it('a tenant that sends 6 MB after 6 MB leaves its neighbour served', async () => {
    const { functionId } = await platform.function('exports.handler = async (e) => e;', { timeoutSec: 30, memoryMb: 256 });
    await bystander.notices(async () => {
      for (let round = 0; round < 3; round += 1) {
        expect(await Promise.all(Array.from({ length: 4 }, () => largeCall(functionId)))).toEqual(Array(4).fill(6 * MB));
      }
    });
  });

  it('answers of 6 MB that nobody reads hold back large bodies only', async () => {
    const { functionId } = await platform.function("exports.handler = async () => 'x'.repeat(6 * 1024 * 1024 - 2);", { timeoutSec: 30 });
    const small = await platform.function('exports.handler = async (e) => e;');
    const grownMb = memoryGrowth(pid());
    const sockets = await Promise.all(Array.from({ length: 20 }, () => unread(platform.port, functionId)));
    expect((await platform.sync(small.functionId, 1)).json.result).toBe(1);
    expect(grownMb()).toBeLessThan(500);
    for (const socket of sockets) socket.destroy();
    await until('there is room again', async () => (await largeCall(small.functionId)) === 6 * MB);
  }, 60_000);

  it('payloads of 6 MB that a stuck handler never reads wait in bounded memory', async () => {
    const { functionId } = await platform.function(
      'exports.handler = async () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);',
      {
        timeoutSec: 3,
        concurrency: { max: 8 },
      },
    );
    const grownMb = memoryGrowth(pid());
    const states = await bystander.notices(() =>
      Promise.all(
        Array.from({ length: 24 }, () => platform.sync(functionId, LARGE).then(({ status, json }) => [status, json.code ?? json.status])),
      ),
    );
    for (const state of states)
      expect(['200 TIMED_OUT', '429 FNS_429_CONCURRENCY_LIMIT', '503 FNS_503_INVOKER_BUSY']).toContain(state.join(' '));
    expect(states.filter(([status]) => status === 200).length).toBeGreaterThanOrEqual(4);
    expect(grownMb()).toBeLessThan(400);
  });

  it('an answer over 6 MB is the handler’s fault, said by name, and its slot goes on', async () => {
    const { functionId } = await platform.function("let n = 0; exports.handler = async (e) => { n += 1; return e ? 'x'.repeat(e) : n; };", {
      memoryMb: 512,
      timeoutSec: 30,
    });
    for (const bytes of [6 * MB - 1, 100 * MB]) {
      const { json } = await platform.sync(functionId, bytes);
      expect([json.status, json.error?.type]).toEqual(['FAILED', 'Function.ResponseTooLarge']);
    }
    expect((await platform.sync(functionId, 0)).json.result).toBe(3);
  });

  it('200 MB printed by each of two handlers at once cost less than 150 MB, and leave 10 MB of log each', async () => {
    const { functionId } = await platform.function(
      `exports.handler = async () => { const text = ('x'.repeat(99) + '\\n').repeat(600);
        for (let at = 0; at < 200e6; at += text.length) process.stdout.write(text) || await new Promise((r) => process.stdout.once('drain', r));
        return 'done'; };`,
      { timeoutSec: 60, memoryMb: 256 },
    );
    const grownMb = memoryGrowth(pid());
    const answers = await bystander.notices(() => Promise.all([platform.sync(functionId, 1), platform.sync(functionId, 2)]));
    expect(answers.map(({ json }) => json.result)).toEqual(['done', 'done']);
    expect(grownMb()).toBeLessThan(150);
    for (const { json } of answers) {
      const lines = await until('the cut is told', async () => {
        const all = await platform.all(`/functions/${functionId}/logs?requestId=${json.requestId}`);
        return all.some(({ stream }) => stream === 'platform') && all;
      });
      expect(lines.reduce((sum, { message }) => sum + message.length, 0)).toBeLessThan(10.5 * MB);
      expect(lines.filter(({ stream }) => stream === 'platform')).toHaveLength(1);
    }
  }, 90_000);

  it('20,000 queued calls of one tenant cost less than 100 MB, and a neighbour’s one is served meanwhile', async () => {
    const { functionId } = await platform.function('exports.handler = async () => { await new Promise((r) => setTimeout(r, 20)); };', {
      concurrency: { max: 2 },
    });
    const grownMb = memoryGrowth(pid());
    await bystander.notices(async () => {
      for (let sent = 0; sent < 20_000; sent += 100) await Promise.all(Array.from({ length: 100 }, () => platform.send(functionId, sent)));
    });
    expect(grownMb()).toBeLessThan(100);
    await platform.ok('DELETE', `/functions/${functionId}`);
  }, 90_000);

  /** What came back: the bytes of the result, or the code of the refusal. */
  async function largeCall(functionId: string): Promise<number | string> {
    const answer = await fetch(`${platform.url}/api/v1/functions/${functionId}/invoke?mode=sync`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: `{"payload":"${LARGE}"}`,
    });
    const { result, code } = (await answer.json()) as { result?: string; code?: string };
    return result === undefined ? (code as string) : result.length + 2;
  }
});

/** Calls, takes the first bytes of the answer, and never reads the rest. */
function unread(port: number, functionId: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(
        `POST /api/v1/functions/${functionId}/invoke?mode=sync HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\ncontent-length: 2\r\n\r\n{}`,
      ),
    );
    socket
      .once('data', () => {
        socket.pause();
        resolve(socket);
      })
      .once('error', reject);
  });
}
