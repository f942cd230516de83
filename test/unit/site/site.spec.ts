import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { asTenantId } from '../../../lib/core/ids.js';
import type { InvokeCall, SyncAnswer } from '../../../lib/core/invocations/service.js';
import { Refusal } from '../../../lib/core/refusal.js';
import type { Principal } from '../../../lib/core/tenancy/model.js';
import type { HttpTrigger } from '../../../lib/core/triggers/model.js';
import { Sites } from '../../../lib/core/triggers/sites.js';
import { Freight, freightLimits } from '../../../lib/http/freight.js';
import { handleSite, type SiteDeps } from '../../../lib/http/site/site.js';
import { siteTarget } from '../../../lib/http/site/target.js';

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field
type Loose = any;
type Handler = (event: Loose, call: InvokeCall) => unknown;
interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
  text: string;
  json: Loose;
}

const principal = (tenantId: string, role: Principal['role'] = 'owner'): Principal => ({
  tenantId: asTenantId(tenantId),
  keyId: `key_${role}`,
  role,
  admin: false,
});
const KEYS: Record<string, Principal> = { good: principal('default'), viewer: principal('default', 'viewer'), foreign: principal('other') };

describe('a site', () => {
  let server: http.Server;
  let sites: Sites;
  let handler: Handler;
  let calls: InvokeCall[];
  let port: number;

  const ended = (state: string, result?: string): SyncAnswer =>
    ({
      kind: 'done',
      head: { state, requestId: 'req_x', attempts: [{ fault: state === 'SUCCEEDED' ? null : 'tenant' }] },
      result,
      replayed: false,
    }) as unknown as SyncAnswer;

  beforeEach(async () => {
    sites = new Sites();
    calls = [];
    handler = (event) => event;
    const deps: SiteDeps = {
      sites,
      authenticator: { known: (key) => KEYS[key], authenticate: async () => undefined },
      invocations: {
        invokeSync: async (call) => {
          calls.push(call);
          const result = await handler(JSON.parse(call.payload), call);
          return typeof result === 'object' && result !== null && 'kind' in result
            ? (result as SyncAnswer)
            : ended('SUCCEEDED', JSON.stringify(result ?? null));
        },
      },
      findFunction: () => ({ functionId: 'fn_1', name: 'f' }) as never,
      clock: { now: () => Date.parse('2026-03-12T19:03:58.390Z') } as never,
      freight: new Freight({ after: () => () => undefined }, freightLimits(2)),
      newRequestId: () => 'req_new',
      patience: { idleMs: 300, overallMs: 1_000 },
      onFault: (error) => {
        throw error;
      },
    };
    server = http.createServer((req, res) => {
      const target = siteTarget(req.url ?? '', req.headers.host, 'localhost');
      if (!target) res.writeHead(418).end();
      else void handleSite(req, res, target, deps);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const route = (more: Partial<HttpTrigger> = {}) =>
    sites.set({
      type: 'http',
      triggerId: 'trg_1',
      tenantId: 'default',
      functionId: 'fn_1',
      qualifier: '$LATEST',
      enabled: true,
      path: '/hello/{name}',
      methods: ['GET', 'POST'],
      auth: 'none',
      idempotency: false,
      ...more,
    } as HttpTrigger);

  const open = (
    method: string,
    path: string,
    options: { headers?: http.OutgoingHttpHeaders; body?: string | Buffer } = {},
  ): Promise<Answer> =>
    new Promise((done, fail) => {
      const req = http.request({ port, host: '127.0.0.1', method, path, headers: options.headers, agent: false }, (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk) => chunks.push(chunk));
        res.on('error', fail);
        res.on('end', () => {
          const body = Buffer.concat(chunks);
          let json: unknown;
          try {
            json = JSON.parse(body.toString());
          } catch {
            // Not JSON.
          }
          done({ status: res.statusCode!, headers: res.headers, body, text: body.toString(), json });
        });
      });
      req.on('error', fail);
      req.end(options.body);
    });

  it('gives the handler the event of API Gateway, format 2.0', async () => {
    route();
    const { json, status, headers } = await open('GET', '/http/default/hello/a%20b?x=1&y=2&y=3&z=%C3%A9&q=a+b&__proto__=p', {
      headers: { host: `site.example:${port}`, 'X-Mine': ['1', '2'], cookie: 'c1=v1; c2=v2', 'user-agent': 'tester' },
    });
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(json).toEqual({
      version: '2.0',
      routeKey: 'GET /hello/{name}',
      rawPath: '/hello/a%20b',
      rawQueryString: 'x=1&y=2&y=3&z=%C3%A9&q=a+b&__proto__=p',
      cookies: ['c1=v1', 'c2=v2'],
      headers: { host: `site.example:${port}`, 'x-mine': '1,2', 'user-agent': 'tester', 'x-forwarded-for': '127.0.0.1' },
      queryStringParameters: JSON.parse('{"x":"1","y":"2,3","z":"é","q":"a b","__proto__":"p"}'),
      pathParameters: { name: 'a b' },
      requestContext: {
        accountId: 'default',
        apiId: 'default',
        domainName: 'site.example',
        domainPrefix: 'site',
        http: { method: 'GET', path: '/hello/a%20b', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'tester' },
        requestId: 'req_new',
        routeKey: 'GET /hello/{name}',
        stage: '$default',
        time: '12/Mar/2026:19:03:58 +0000',
        timeEpoch: 1773342238390,
      },
      isBase64Encoded: false,
    });
  });

  it('carries every byte both ways', async () => {
    route();
    handler = (event) => ({
      statusCode: 200,
      headers: { 'content-type': 'application/octet-stream' },
      body: event.body,
      isBase64Encoded: event.isBase64Encoded,
    });
    const all = Buffer.from(Array.from({ length: 256 * 40 }, (_, i) => i % 256));
    const back = await open('POST', '/http/default/hello/x', { body: all, headers: { 'content-type': 'application/octet-stream' } });
    expect(back.body.equals(all)).toBe(true);
    const invalid = Buffer.from([0x7b, 0xff, 0x7d]);
    expect(
      (await open('POST', '/http/default/hello/x', { body: invalid, headers: { 'content-type': 'application/json' } })).body.equals(
        invalid,
      ),
    ).toBe(true);
    const text = await open('POST', '/http/default/hello/x', { body: '{"grüße":1}', headers: { 'content-type': 'application/json' } });
    expect(text.text).toBe('{"grüße":1}');
    expect(JSON.parse(calls.at(-1)!.payload)).toMatchObject({ body: '{"grüße":1}', isBase64Encoded: false });
  });

  it('answers HEAD as GET, without the body', async () => {
    route();
    handler = () => ({ statusCode: 201, headers: { 'x-mine': 'yes' }, body: 'hello' });
    const head = await open('HEAD', '/http/default/hello/x');
    expect([head.status, head.body.length, head.headers['x-mine'], head.headers['content-length']]).toEqual([201, 0, 'yes', '5']);
  });

  it('is a problem for an unknown path, method and tenant', async () => {
    route();
    expect((await open('GET', '/http/default/none')).status).toBe(404);
    expect((await open('GET', '/http/nobody/hello/x')).status).toBe(404);
    expect((await open('GET', '/http')).status).toBe(418);
    const wrong = await open('DELETE', '/http/default/hello/x');
    expect([wrong.status, wrong.headers.allow, wrong.json.code]).toEqual([405, 'GET, HEAD, POST', 'FNS_405_METHOD']);
    expect(wrong.headers['content-type']).toBe('application/problem+json');
  });

  it('confines cookies and scripts on the path form, and leaves the own site alone but for Domain', async () => {
    route();
    handler = () => ({
      statusCode: 302,
      headers: { location: '/elsewhere', 'Set-Cookie': 'z=0' },
      cookies: ['a=1; Path=/; HttpOnly', 'b=2; Domain=localhost; path=/x; Secure'],
    });
    const byPath = await open('GET', '/http/default/hello/x');
    expect(byPath.headers['set-cookie']).toEqual([
      'z=0; Path=/http/default/',
      'a=1; HttpOnly; Path=/http/default/',
      'b=2; Secure; Path=/http/default/x',
    ]);
    expect(byPath.headers['content-security-policy']).toBe('sandbox');
    expect(byPath.headers.location).toBe('/elsewhere');
    const byHost = await open('GET', '/hello/x', { headers: { host: `default.localhost:${port}` } });
    expect(byHost.headers['set-cookie']).toEqual(['z=0', 'a=1; HttpOnly; Path=/', 'b=2; Secure; Path=/x']);
    expect(byHost.headers['content-security-policy']).toBeUndefined();
    expect((await open('GET', '/http/default/none')).headers['content-security-policy']).toBe('sandbox');
  });

  it('wants a key, takes out the header that held it, and tells who called', async () => {
    route({ auth: 'key' });
    const ask = (headers: Record<string, string>) => open('GET', '/http/default/hello/x', { headers });
    expect((await ask({})).status).toBe(401);
    expect((await ask({ authorization: 'Bearer wrong' })).status).toBe(401);
    expect((await ask({ authorization: 'Bearer foreign' })).status).toBe(403);
    expect((await ask({ authorization: 'Bearer viewer' })).status).toBe(403);
    expect(calls).toHaveLength(0);
    const bearer = (await ask({ authorization: 'Bearer good', 'x-api-key': 'its own' })).json;
    expect(bearer.headers).toMatchObject({ 'x-api-key': 'its own' });
    expect(bearer.headers.authorization).toBeUndefined();
    expect(bearer.requestContext.authorizer).toEqual({ key: { keyId: 'key_owner', tenantId: 'default', role: 'owner' } });
    const apiKey = (await ask({ authorization: 'Basic abc', 'x-api-key': 'good' })).json;
    expect(apiKey.headers).toMatchObject({ authorization: 'Basic abc' });
    expect(apiKey.headers['x-api-key']).toBeUndefined();
  });

  it.each([
    ['FAILED', 502, 'FNS_502_FUNCTION_ERROR'],
    ['TIMED_OUT', 504, 'FNS_504_FUNCTION_TIMEOUT'],
  ])('answers a %s call with %i and the request id, without the fault', async (state, status, code) => {
    route();
    handler = () => ended(state);
    const answer = await open('GET', '/http/default/hello/x');
    expect([answer.status, answer.json.code, answer.json.requestId]).toEqual([status, code, 'req_x']);
  });

  it('hands refusals on', async () => {
    route();
    handler = () => ({ kind: 'refused', refusal: new Refusal(429, 'FNS_429_CONCURRENCY_LIMIT', 'Too many.', { retryAfterSec: 1 }) });
    const answer = await open('GET', '/http/default/hello/x');
    expect([answer.status, answer.headers['retry-after'], answer.json.code]).toEqual([429, '1', 'FNS_429_CONCURRENCY_LIMIT']);
  });

  it.each([
    [{ statusCode: 99 }],
    [{ statusCode: 'ok' }],
    [{ statusCode: 200, headers: { 'bad name': 'x' } }],
    [{ statusCode: 200, headers: { x: 'a\r\nb: c' } }],
    [{ statusCode: 200, body: { a: 1 } }],
    [{ statusCode: 200, cookies: 'a=1' }],
  ])('is a function error for the answer %j', async (result) => {
    route();
    handler = () => result;
    expect((await open('GET', '/http/default/hello/x')).json.code).toBe('FNS_502_FUNCTION_ERROR');
  });

  it('takes any JSON value as the body of a 200', async () => {
    route();
    for (const value of [null, 'text', 7, [1, 2], { a: '\\u0041' }]) {
      handler = () => value;
      const answer = await open('GET', '/http/default/hello/x');
      expect([answer.status, answer.json]).toEqual([200, value]);
    }
  });

  it('compresses what is worth it for those who take it', async () => {
    route();
    handler = () => ({
      statusCode: 200,
      headers: { 'content-type': 'text/html', etag: '"1"', vary: 'Cookie' },
      body: 'hello '.repeat(1000),
    });
    const packed = await open('GET', '/http/default/hello/x', { headers: { 'accept-encoding': 'br, gzip' } });
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Cookie, Accept-Encoding', etag: 'W/"1"' });
    expect(gunzipSync(packed.body).toString()).toBe('hello '.repeat(1000));
    expect(
      (await open('GET', '/http/default/hello/x', { headers: { 'accept-encoding': 'gzip;q=0' } })).headers['content-encoding'],
    ).toBeUndefined();
    handler = () => 'short';
    expect(
      (await open('GET', '/http/default/hello/x', { headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding'],
    ).toBeUndefined();
  });

  it('answers preflights by setting, without calling the function', async () => {
    route({
      cors: {
        allowOrigins: ['https://a.example'],
        allowMethods: [],
        allowHeaders: ['*'],
        exposeHeaders: ['x-mine'],
        allowCredentials: true,
        maxAgeSec: 60,
      },
    });
    const ask = (origin: string) =>
      open('OPTIONS', '/http/default/hello/x', {
        headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-one' },
      });
    const yes = await ask('https://a.example');
    expect(yes.status).toBe(204);
    expect(yes.headers).toMatchObject({
      'access-control-allow-origin': 'https://a.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'x-one',
      'access-control-max-age': '60',
      vary: 'Origin',
    });
    expect((await ask('https://b.example')).headers['access-control-allow-origin']).toBeUndefined();
    expect(calls).toHaveLength(0);
    const plain = await open('GET', '/http/default/hello/x', { headers: { origin: 'https://a.example' } });
    expect(plain.headers).toMatchObject({ 'access-control-allow-origin': 'https://a.example', 'access-control-expose-headers': 'x-mine' });
  });

  it('puts the key of an opted-in trigger and what must repeat with it into the call', async () => {
    route();
    await open('GET', '/http/default/hello/x', { headers: { 'idempotency-key': 'k' } });
    expect(calls[0]!.idempotencyKey).toBeUndefined();
    route({ idempotency: true });
    const ask = (headers: Record<string, string>, body = 'b') =>
      open('POST', '/http/default/hello/x', { headers: { 'idempotency-key': '"k"', ...headers }, body });
    await ask({});
    await ask({});
    await ask({ cookie: 'a=1' });
    await ask({ authorization: 'x' });
    await ask({}, 'c');
    const [, first, again, ...others] = calls.map((call) => call.repeats);
    expect(calls[1]!.idempotencyKey).toBe('http:trg_1:k');
    expect(again).toBe(first);
    expect(new Set([first, ...others]).size).toBe(4);
    expect((await ask({ 'idempotency-key': 'k'.repeat(300) })).status).toBe(422);
  });

  it('refuses a body over 6 MB with 413, whether it says so or not', async () => {
    route();
    const big = Buffer.alloc(6 * 1024 * 1024 + 1);
    expect((await open('POST', '/http/default/hello/x', { body: big })).status).toBe(413);
    expect((await open('POST', '/http/default/hello/x', { body: big, headers: { 'transfer-encoding': 'chunked' } })).status).toBe(413);
    expect(calls).toHaveLength(0);
  });

  it.each([
    ['stands still', 10_000],
    ['drips for ever', 100],
  ])('answers 408 to a body that %s, and never calls the function', async (_what, everyMs) => {
    route();
    const socket = net.connect(port, '127.0.0.1');
    socket.write('POST /http/default/hello/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx');
    const drip = setInterval(() => socket.write('x'), everyMs);
    const answer = await new Promise<string>((done) => socket.on('data', (bytes) => done(bytes.toString())));
    clearInterval(drip);
    socket.destroy();
    expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*FNS_408_SLOW_BODY/);
    expect(calls).toHaveLength(0);
  });

  it('streams what the handler streams, in order, with its head first', async () => {
    route();
    handler = async (_event, call) => {
      await call.onChunk!({ kind: 'head', json: '{"statusCode":201,"headers":{"content-type":"text/plain"},"cookies":["a=1"]}' });
      for (let i = 0; i < 200; i += 1) await call.onChunk!({ kind: 'data', bytes: Buffer.alloc(10_000, 65 + (i % 26)) });
      return null;
    };
    const answer = await open('GET', '/http/default/hello/x');
    expect([answer.status, answer.body.length, answer.headers['content-type'], answer.headers['set-cookie']]).toEqual([
      201,
      2_000_000,
      'text/plain',
      ['a=1; Path=/http/default/'],
    ]);
  });

  it('cuts a stream short when the handler fails in the middle, so that the client can tell', async () => {
    route();
    handler = async (_event, call) => {
      await call.onChunk!({ kind: 'data', bytes: Buffer.from('half') });
      return ended('FAILED');
    };
    await expect(open('GET', '/http/default/hello/x')).rejects.toThrow();
  });

  it('lets a stream go on for a client that went away, and ends it quietly', async () => {
    route();
    let finished: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      finished = resolve;
    });
    handler = async (_event, call) => {
      for (let i = 0; i < 100; i += 1) await call.onChunk!({ kind: 'data', bytes: Buffer.alloc(100_000) });
      finished();
      return null;
    };
    const req = http.get({ port, host: '127.0.0.1', path: '/http/default/hello/x', agent: false }, (res) =>
      res.once('data', () => req.destroy()),
    );
    req.on('error', () => {});
    await done;
  });
});
