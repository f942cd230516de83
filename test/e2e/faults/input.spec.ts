import { connect } from 'node:net';
import { ADMIN_KEY, type Answer, Platform } from '../platform.js';
import { Bystander } from './bystander.js';
import { memoryGrowth } from './processes.js';

const MB = 1024 * 1024;

/** What a caller can send that is not what we take. Each answer is a problem that names the fault, and nobody else notices. */
describe('bad input', () => {
  const platform = new Platform();
  let functionId: string;
  let bystander: Bystander;

  beforeAll(async () => {
    await platform.start();
    functionId = (await platform.function('exports.handler = async (e) => e;')).functionId;
    await platform.ok('POST', `/functions/${functionId}/triggers`, { type: 'http', path: '/echo', methods: ['POST'], auth: 'none' });
    bystander = await Bystander.of(platform);
  });
  afterAll(() => platform.dispose());

  const isProblem = (answer: Answer, status: number, code: string, detail = /./) => {
    expect([answer.status, answer.json?.code, answer.headers.get('content-type')]).toEqual([status, code, 'application/problem+json']);
    expect(answer.json).toMatchObject({ type: expect.any(String), title: expect.any(String), requestId: expect.stringMatching(/^req_/) });
    expect(answer.text).toMatch(detail);
  };
  const json = { 'content-type': 'application/json' };

  it.each([
    ['cut off', '{"payload":'],
    ['with text behind it', '{"payload":1} x'],
    ['with a bare word', '{"payload":undefined}'],
    ['with a broken escape', '{"payload":"\\x"}'],
    ['not UTF-8', Buffer.from('{"payload":"\xff"}', 'latin1')],
    ['nested 100,000 deep', `{"payload":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['of 1 MB of brackets', '['.repeat(MB)],
  ])('JSON that is %s is 400 on both planes', async (_what, body) => {
    // No body at all is no fault of a call: its payload is null then.
    isProblem(await platform.call('POST', '/functions', { body: '', headers: json }), 400, 'FNS_400_BAD_JSON');
    for (const path of [`/functions/${functionId}/invoke?mode=sync`, `/functions/${functionId}/invoke`, '/functions']) {
      isProblem(await platform.call('POST', path, { body, headers: json }), 400, 'FNS_400_BAD_JSON');
    }
  });

  it.each<[string, string, string, unknown, string, RegExp]>([
    ['an unknown field', 'POST', 'invoke', { payload: 1, payloads: 2 }, 'payloads', /./],
    ['an unknown priority', 'POST', 'invoke', { payload: 1, priority: 'urgent' }, 'priority', /high.*normal.*low/],
    ['a qualifier that is a number', 'POST', 'invoke', { payload: 1, qualifier: 3 }, 'qualifier', /./],
    ['an array', 'POST', 'invoke', [1], '', /./],
    ['an unknown mode', 'POST', 'invoke?mode=later', { payload: 1 }, 'mode', /sync, async/],
    ['an unknown field of a function', 'PATCH', '', { memory: 128 }, 'memory', /./],
    ['too little memory', 'PATCH', '', { memoryMb: 1 }, 'memoryMb', /64/],
    ['a text for a number', 'PATCH', '', { timeoutSec: '3' }, 'timeoutSec', /number/],
    ['half a second', 'PATCH', '', { timeoutSec: 0.5 }, 'timeoutSec', /./],
    ['an unknown field further down', 'PATCH', '', { retry: { maxRetries: 1, tries: 2 } }, 'retry.tries', /./],
    ['a variable that is a number', 'PATCH', '', { env: { A: 1 } }, 'env.A', /./],
    ['an unknown trigger', 'POST', 'triggers', { type: 'carrier-pigeon' }, 'type', /http/],
    ['an unknown state', 'PUT', 'state', { state: 'ASLEEP' }, 'state', /ENABLED/],
  ])('%s is 422 with the field and what is allowed', async (_what, method, path, body, field, wanted) => {
    const answer = await platform.call(method, `/functions/${functionId}${path && `/${path}`}`, { body });
    isProblem(answer, 422, 'FNS_422_INVALID', wanted);
    if (field) expect(answer.json.errors.map((each: { field: string }) => each.field)).toContain(field);
  });

  it('a huge body is 413 on each way in, whether it tells its length or not, and costs no memory', async () => {
    const grownMb = memoryGrowth(platform.child?.pid as number);
    const large = Buffer.from(JSON.stringify({ payload: 'x'.repeat(40 * MB) }));
    const chunked = () => new Blob([large]).stream();
    const ways = [
      `/api/v1/functions/${functionId}/invoke?mode=sync`,
      `/api/v1/functions/${functionId}/invoke`,
      `/api/v1/functions/${functionId}/triggers`,
      '/http/default/echo',
    ];
    await bystander.notices(async () => {
      for (const path of ways) {
        for (const body of [large, chunked()]) {
          const answer = await fetch(platform.url + path, {
            method: 'POST',
            headers: { authorization: `Bearer ${ADMIN_KEY}`, ...json },
            body,
            duplex: 'half',
          } as RequestInit);
          expect([path, answer.status, ((await answer.json()) as { code: string }).code]).toEqual([path, 413, 'FNS_413_PAYLOAD_TOO_LARGE']);
        }
      }
    });
    expect(grownMb()).toBeLessThan(100);
  });

  it('a payload one byte over 6 MB (1 MB where it is async) is refused, and one of just that size is taken', async () => {
    const of = (bytes: number) => `{"payload":"${'x'.repeat(bytes - 2)}"}`;
    const invoke = (bytes: number, mode: string) =>
      platform.call('POST', `/functions/${functionId}/invoke?mode=${mode}`, { body: of(bytes), headers: json });
    isProblem(await invoke(6 * MB + 1, 'sync'), 413, 'FNS_413_PAYLOAD_TOO_LARGE', /6291456/);
    isProblem(await invoke(MB + 1, 'async'), 413, 'FNS_413_PAYLOAD_TOO_LARGE', /1048576/);
    expect((await invoke(6 * MB, 'sync')).json).toMatchObject({ status: 'SUCCEEDED' });
    expect((await invoke(MB, 'async')).status).toBe(202);
  });

  it('bodies that never come are 408 on each way in, and 100 of them keep nobody waiting', async () => {
    const ways = [`/api/v1/functions/${functionId}/invoke?mode=sync`, `/api/v1/functions/${functionId}/triggers`, '/http/default/echo'];
    const answers = await bystander.notices(() =>
      Promise.all(Array.from({ length: 99 }, (_, n) => slowly(platform.port, ways[n % ways.length] as string))),
    );
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*FNS_408_/);
  }, 40_000);

  it('headers that are too large, no HTTP, and odd targets are answered and end there', async () => {
    const say = (text: string) => raw(platform.port, text);
    expect(await say(`GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(64 * 1024)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 [\s\S]*FNS_431/);
    expect(await say('\x16\x03\x01 this is TLS, or nothing\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*FNS_400_BAD_REQUEST/);
    expect(await say('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400/,
    );
    expect(await say('GET /api/v1/functions/%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(await say('GET http://[::bad/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect((await platform.sync(functionId, 1)).json.result).toBe(1);
  });

  it('a caller that hangs up in the middle, again and again, leaves nothing behind', async () => {
    for (let n = 0; n < 50; n += 1) {
      await new Promise<void>((resolve) => {
        const socket = connect(platform.port, '127.0.0.1', () => {
          socket.write(
            `POST /api/v1/functions/${functionId}/invoke?mode=sync HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\ncontent-length: 1000\r\n\r\n{"payl`,
          );
          setTimeout(() => socket.destroy(), n % 5);
        });
        socket.on('close', () => resolve()).on('error', () => undefined);
      });
    }
    expect((await platform.sync(functionId, 1)).json.result).toBe(1);
    expect(platform.output).not.toContain('"level":"error"');
  });
});

/** Sends the head and one byte of the body, then nothing; what came back. */
function slowly(port: number, path: string): Promise<string> {
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n`;
  return raw(port, `${head}{`);
}

/** Sends the text, and collects what comes until the other side ends it. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    const timer = setTimeout(() => socket.destroy(), 30_000);
    socket
      .setEncoding('utf8')
      .on('data', (piece) => {
        answer += piece;
      })
      .on('error', () => undefined)
      .on('close', () => {
        clearTimeout(timer);
        resolve(answer);
      });
  });
}
