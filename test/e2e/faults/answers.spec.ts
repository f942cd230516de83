import { type Answer, Platform } from '../platform.js';

/** Handlers that answer what cannot be answered, called through the API and through a route. */
describe('a handler', () => {
  const platform = new Platform();
  beforeAll(() => platform.start());
  afterAll(() => platform.dispose());

  const viaRoute = async (functionId: string): Promise<Answer> => {
    await platform.ok('POST', `/functions/${functionId}/triggers`, { type: 'http', path: `/${functionId}`, auth: 'none' });
    return platform.call('GET', `/http/default/${functionId}`, { root: true, key: null });
  };
  const handler = (body: string): string => `exports.handler = async (event, context) => { ${body} };`;
  const nested = (depth: number): string => `let a = 1; for (let n = 0; n < ${depth}; n += 1) a = [a]; return a;`;

  it.each<[string, string, string]>([
    ['throws a text', handler("throw 'no error';"), 'string'],
    ['throws nothing', handler('throw undefined;'), 'undefined'],
    ['throws null', handler('throw null;'), 'null'],
    ['throws a number', handler('throw 42;'), 'number'],
    ['throws a symbol', handler("throw Symbol('s');"), 'symbol'],
    ['throws a proxy that throws', handler('throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } });'), '.'],
    ['throws an error of 10 MB', handler("throw new Error('x'.repeat(1e7));"), 'Error'],
    ['throws with a type of 1 MB', handler("const e = new Error('e'); e.name = 'N'.repeat(1e6); throw e;"), '.'],
    ['returns a circle', handler('const a = {}; a.a = a; return a;'), 'Runtime.MarshalError'],
    ['returns a BigInt', handler('return { n: 1n };'), 'Runtime.MarshalError'],
    ['returns what throws when it is made JSON', handler('return { toJSON() { throw new Error("no"); } };'), '.'],
    ['returns 100,000 levels', handler(nested(100_000)), 'Runtime.MarshalError'],
    ['returns more levels than a payload may have', handler(nested(2_000)), 'Runtime.MarshalError'],
    ['exits while it answers', handler('setImmediate(() => process.exit(0)); await new Promise(() => {});'), 'Runtime.ExitError'],
    ['never settles and leaves nothing to wait for', handler('await new Promise(() => {});'), 'Runtime.Timeout'],
  ])('that %s fails by name, on a route with 502 or 504 and nothing of it', async (_what, code, type) => {
    const { functionId } = await platform.function(code, { timeoutSec: 1 });
    const { status, headers, json, text } = await platform.sync(functionId, null);
    expect([status, headers.get('x-fns-function-error'), json.status]).toEqual([
      200,
      'Unhandled',
      type === 'Runtime.Timeout' ? 'TIMED_OUT' : 'FAILED',
    ]);
    expect(json.error.type).toMatch(new RegExp(type));
    expect(text.length).toBeLessThan(300_000);
    const site = await viaRoute(functionId);
    expect([site.status, site.json?.code]).toEqual(
      type === 'Runtime.Timeout' ? [504, 'FNS_504_FUNCTION_TIMEOUT'] : [502, 'FNS_502_FUNCTION_ERROR'],
    );
    expect(site.text).not.toMatch(/stack|index\.js|no error/);
  });

  it.each<[string, string, unknown]>([
    ['nothing', 'return;', null],
    ['undefined in a list', 'return [undefined, () => 1, NaN, Infinity];', [null, null, null, null]],
    ['half a sign', "return '\\ud800';", '\ud800'],
    ['a date', 'return new Date(0);', '1970-01-01T00:00:00.000Z'],
    ['a map', 'return new Map([[1, 2]]);', {}],
    ['__proto__ as a name', 'return JSON.parse(\'{"__proto__":{"a":1}}\');', JSON.parse('{"__proto__":{"a":1}}')],
  ])('that returns %s answers what JSON makes of it', async (_what, body, wanted) => {
    const { functionId } = await platform.function(handler(body));
    expect((await platform.sync(functionId, null)).json).toMatchObject({ status: 'SUCCEEDED', result: wanted });
  });

  const odd: [string, string][] = [
    ['a header that no text can be made of', '{ statusCode: 200, headers: { a: { toString: 1, valueOf: 1 } } }'],
    ['a header of 9,000 levels', '{ statusCode: 200, headers: JSON.parse(\'{"a":\' + "[".repeat(9000) + "]".repeat(9000) + "}") }'],
    ['a header with a line break', "{ statusCode: 200, headers: { a: 'b\\r\\nset-cookie: c' } }"],
    ['a header name that is none', "{ statusCode: 200, headers: { 'a b': 'c' } }"],
    ['a status that is none', '{ statusCode: 99 }'],
    ['a status that is a text', "{ statusCode: 'OK' }"],
    ['cookies that are none', '{ statusCode: 200, cookies: { a: 1 } }'],
  ];
  it.each(odd)('that answers a route with %s is told 502; streamed, it is 502 too', async (_what, answer) => {
    const whole = await platform.function(handler(`return ${answer};`));
    expect((await viaRoute(whole.functionId)).status).toBe(502);
    const streamed = await platform.function(`exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      stream = awslambda.HttpResponseStream.from(stream, ${answer}); stream.write('x'); stream.end(); });`);
    expect((await viaRoute(streamed.functionId)).status).toBe(502);
    expect((await platform.call('GET', '/readyz', { root: true })).status).toBe(200);
  });

  it.each([
    ['that is no JSON', '{"statusCode":'],
    ['that is no object', '[[1]]'],
    ['of 60,000 levels', '['.repeat(30_000) + ']'.repeat(30_000)],
    ['with a header of 30,000 levels', `{"headers":{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`],
    ['with a header that no text can be made of', '{"headers":{"a":{"toString":1}}}'],
    ['that is empty', ''],
  ])('that forges the head %s of a streamed answer ends its own call, and no more', async (_what, json) => {
    const source = `exports.handler = async () => { const fs = require('fs');
      const send = (type, text) => { const body = Buffer.concat([Buffer.from([1, 0, 0, 0]), Buffer.from(text)]);
        const f = Buffer.alloc(5); f.writeUInt32LE(body.length + 1); f[4] = type; fs.writeSync(3, Buffer.concat([f, body])); };
      send(21, ${JSON.stringify(json)}); send(22, 'data'); await new Promise((r) => setTimeout(r, 200)); return 1; };`;
    const { functionId } = await platform.function(source);
    const answer = await viaRoute(functionId).catch(() => undefined);
    expect([undefined, 200, 502]).toContain(answer?.status);
    expect((await platform.call('GET', '/readyz', { root: true })).status).toBe(200);
  });
});
