import { Refusal } from '../../../lib/core/refusal.js';
import { ended, SiteServer } from './site-server.js';

describe('a site', () => {
  let site: SiteServer;

  beforeEach(async () => {
    site = new SiteServer();
    await site.start();
  });
  afterEach(() => site.stop());

  it('gives the handler the event of API Gateway, format 2.0', async () => {
    site.route();
    const { json, status, headers } = await site.open('GET', '/http/default/hello/a%20b?x=1&y=2&y=3&z=%C3%A9&q=a+b&__proto__=p', {
      headers: { host: `site.example:${site.port}`, 'X-Mine': ['1', '2'], cookie: 'c1=v1; c2=v2', 'user-agent': 'tester' },
    });
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(json).toEqual({
      version: '2.0',
      routeKey: 'GET /hello/{name}',
      rawPath: '/hello/a%20b',
      rawQueryString: 'x=1&y=2&y=3&z=%C3%A9&q=a+b&__proto__=p',
      cookies: ['c1=v1', 'c2=v2'],
      headers: { host: `site.example:${site.port}`, 'x-mine': '1,2', 'user-agent': 'tester', 'x-forwarded-for': '127.0.0.1' },
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

  it('answers HEAD as GET, without the body', async () => {
    site.route();
    site.handler = () => ({ statusCode: 201, headers: { 'x-mine': 'yes' }, body: 'hello' });
    const head = await site.open('HEAD', '/http/default/hello/x');
    expect([head.status, head.body.length, head.headers['x-mine'], head.headers['content-length']]).toEqual([201, 0, 'yes', '5']);
  });

  it('is a problem for an unknown path, method and tenant', async () => {
    site.route();
    expect((await site.open('GET', '/http/default/none')).status).toBe(404);
    expect((await site.open('GET', '/http/nobody/hello/x')).status).toBe(404);
    expect((await site.open('GET', '/http')).status).toBe(418);
    const wrong = await site.open('DELETE', '/http/default/hello/x');
    expect([wrong.status, wrong.headers.allow, wrong.json.code]).toEqual([405, 'GET, HEAD, POST', 'FNS_405_METHOD']);
    expect(wrong.headers['content-type']).toBe('application/problem+json');
  });

  it('confines cookies and scripts on the path form, and leaves the own site alone but for Domain', async () => {
    site.route();
    site.handler = () => ({
      statusCode: 302,
      headers: { location: '/elsewhere', 'Set-Cookie': 'z=0' },
      cookies: ['a=1; Path=/; HttpOnly', 'b=2; Domain=localhost; path=/x; Secure'],
    });
    const byPath = await site.open('GET', '/http/default/hello/x');
    expect(byPath.headers['set-cookie']).toEqual([
      'z=0; Path=/http/default/',
      'a=1; HttpOnly; Path=/http/default/',
      'b=2; Secure; Path=/http/default/x',
    ]);
    expect(byPath.headers['content-security-policy']).toBe('sandbox');
    expect(byPath.headers.location).toBe('/elsewhere');
    const byHost = await site.open('GET', '/hello/x', { headers: { host: `default.localhost:${site.port}` } });
    expect(byHost.headers['set-cookie']).toEqual(['z=0', 'a=1; HttpOnly; Path=/', 'b=2; Secure; Path=/x']);
    expect(byHost.headers['content-security-policy']).toBeUndefined();
    expect((await site.open('GET', '/http/default/none')).headers['content-security-policy']).toBe('sandbox');
  });

  it('wants a key, takes out the header that held it, and tells who called', async () => {
    site.route({ auth: 'key' });
    const ask = (headers: Record<string, string>) => site.open('GET', '/http/default/hello/x', { headers });
    expect((await ask({})).status).toBe(401);
    expect((await ask({ authorization: 'Bearer wrong' })).status).toBe(401);
    expect((await ask({ authorization: 'Bearer foreign' })).status).toBe(403);
    expect((await ask({ authorization: 'Bearer viewer' })).status).toBe(403);
    expect(site.calls).toHaveLength(0);
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
    site.route();
    site.handler = () => ended(state);
    const answer = await site.open('GET', '/http/default/hello/x');
    expect([answer.status, answer.json.code, answer.json.requestId]).toEqual([status, code, 'req_x']);
  });

  it('hands refusals on', async () => {
    site.route();
    site.handler = () => ({ kind: 'refused', refusal: new Refusal(429, 'FNS_429_CONCURRENCY_LIMIT', 'Too many.', { retryAfterSec: 1 }) });
    const answer = await site.open('GET', '/http/default/hello/x');
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
    site.route();
    site.handler = () => result;
    expect((await site.open('GET', '/http/default/hello/x')).json.code).toBe('FNS_502_FUNCTION_ERROR');
  });

  it('takes any JSON value as the body of a 200', async () => {
    site.route();
    for (const value of [null, 'text', 7, [1, 2], { a: '\\u0041' }]) {
      site.handler = () => value;
      const answer = await site.open('GET', '/http/default/hello/x');
      expect([answer.status, answer.json]).toEqual([200, value]);
    }
  });

  it('answers preflights by setting, without calling the function', async () => {
    site.route({
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
      site.open('OPTIONS', '/http/default/hello/x', {
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
    expect(site.calls).toHaveLength(0);
    const plain = await site.open('GET', '/http/default/hello/x', { headers: { origin: 'https://a.example' } });
    expect(plain.headers).toMatchObject({ 'access-control-allow-origin': 'https://a.example', 'access-control-expose-headers': 'x-mine' });
  });

  it('puts the key of an opted-in trigger and what must repeat with it into the call', async () => {
    site.route();
    await site.open('GET', '/http/default/hello/x', { headers: { 'idempotency-key': 'k' } });
    expect(site.calls[0]!.idempotencyKey).toBeUndefined();
    site.route({ idempotency: true });
    const ask = (headers: Record<string, string>, body = 'b') =>
      site.open('POST', '/http/default/hello/x', { headers: { 'idempotency-key': '"k"', ...headers }, body });
    await ask({});
    await ask({});
    await ask({ cookie: 'a=1' });
    await ask({ authorization: 'x' });
    await ask({}, 'c');
    const [, first, again, ...others] = site.calls.map((call) => call.repeats);
    expect(site.calls[1]!.idempotencyKey).toBe('http:trg_1:k');
    expect(again).toBe(first);
    expect(new Set([first, ...others]).size).toBe(4);
    expect((await ask({ 'idempotency-key': 'k'.repeat(300) })).status).toBe(422);
  });
});
