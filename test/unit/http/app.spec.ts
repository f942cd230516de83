import { createRoute, z } from '@hono/zod-openapi';
import { PlatformFault } from '../../../lib/core/refusal.js';
import { needs, newApi } from '../../../lib/http/api.js';
import { api } from '../../../lib/http/app.js';
import { strict, whole } from '../../../lib/http/schemas/fields.js';
import { pageQuery } from '../../../lib/http/schemas/page.js';
import { json, jsonBody, refused } from '../../../lib/http/schemas/responses.js';
import { servicesOf } from './services.js';

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
const told = async (r: Response): Promise<any> => r.json();

const key = { authorization: 'Bearer owner' };
const jsonKey = { ...key, 'content-type': 'application/json' };

describe('the control plane’s border', () => {
  const faults: unknown[] = [];
  const services = servicesOf({ onFault: (error) => void faults.push(error) });
  const app = api(services);
  const probe = newApi();
  probe.openapi(
    createRoute({
      method: 'post',
      path: '/probe/{id}',
      middleware: needs('change'),
      request: {
        params: z.object({ id: z.string() }),
        query: pageQuery,
        body: jsonBody(strict({ memoryMb: whole(64, 128), retry: strict({ max: whole(0, 9) }).optional() })),
      },
      responses: { 200: json(z.object({ memoryMb: z.number() }), 'ok'), ...refused },
    }),
    (c) => {
      const { memoryMb } = c.req.valid('json');
      if (memoryMb === 66) throw new Error('secret inner text');
      if (memoryMb === 67) throw new PlatformFault('the store cannot be written');
      return c.json({ memoryMb }, 200);
    },
  );
  app.route('/api/v1', probe);

  const post = (body: string | undefined, headers: Record<string, string> = jsonKey, path = '/api/v1/probe/1') =>
    app.request(path, { method: 'POST', body, headers });

  it('gives a problem with a request id to an unknown path', async () => {
    const r = await app.request('/api/v1/nothing', { headers: key });
    expect(r.status).toBe(404);
    expect(r.headers.get('content-type')).toBe('application/problem+json');
    const problem = await told(r);
    expect(problem).toMatchObject({ type: 'urn:fns:problem:FNS_404_ROUTE', title: 'Not Found', status: 404, code: 'FNS_404_ROUTE' });
    expect(problem.requestId).toBe(r.headers.get('x-request-id'));
  });

  it('answers a wrong method with 405 and Allow', async () => {
    const r = await app.request('/readyz', { method: 'POST' });
    expect([r.status, r.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect((await told(r)).code).toBe('FNS_405_METHOD');
  });

  it('refuses no key, a wrong key and odd headers with 401', async () => {
    for (const authorization of [undefined, 'Bearer', 'Bearer ', 'Basic YTpi', 'Bearer wrong', `Bearer ${'x'.repeat(9000)}`]) {
      const r = await app.request('/api/v1/probe/1', { method: 'POST', headers: authorization ? { authorization } : {} });
      expect([authorization, r.status]).toEqual([authorization, 401]);
      expect(r.headers.get('www-authenticate')).toContain('Bearer');
    }
  });

  it('refuses a role that may not, before it looks at the input', async () => {
    const r = await post('{}', { ...jsonKey, authorization: 'Bearer viewer' });
    expect([r.status, (await told(r)).code]).toEqual([403, 'FNS_403_FORBIDDEN']);
  });

  it('refuses JSON that is malformed, empty, not UTF-8 or too deep with 400', async () => {
    for (const body of ['{"memoryMb":', 'hello', '{"memoryMb":64}x', '', `{"memoryMb":${'['.repeat(20_000)}${']'.repeat(20_000)}}`]) {
      const r = await post(body);
      expect([r.status, (await told(r)).code]).toEqual([400, 'FNS_400_BAD_JSON']);
    }
    const r = await app.request('/api/v1/probe/1', { method: 'POST', body: new Uint8Array([0x22, 0xff, 0x22]), headers: jsonKey });
    expect(r.status).toBe(400);
  });

  it('names each wrong field, what was wrong and what is allowed', async () => {
    const r = await post('{"memoryMb":63,"memoryMB":1,"retry":{"max":"3","min":1}}');
    expect(r.status).toBe(422);
    const { code, errors } = await told(r);
    expect(code).toBe('FNS_422_INVALID');
    expect(errors).toEqual(
      expect.arrayContaining([
        { field: 'memoryMb', message: 'must be a whole number from 64 to 128', allowed: '64…128' },
        { field: 'memoryMB', message: 'is not known here', allowed: 'memoryMb, retry' },
        { field: 'retry.max', message: 'must be a whole number from 0 to 9', allowed: '0…9' },
        { field: 'retry.min', message: 'is not known here', allowed: 'max' },
      ]),
    );
    const missing = await told(await post('{}'));
    expect(missing.errors[0]).toMatchObject({ field: 'memoryMb' });
  });

  it('refuses odd page queries by name', async () => {
    for (const query of ['limit=0', 'limit=-1', 'limit=abc', 'limit=1e99', 'limit=1001', 'evil=1']) {
      expect([query, (await post('{"memoryMb":64}', jsonKey, `/api/v1/probe/1?${query}`)).status]).toEqual([query, 422]);
    }
    expect((await post('{"memoryMb":64}', jsonKey, '/api/v1/probe/1?limit=1000&cursor=x')).status).toBe(200);
  });

  it('refuses a body over the limit with 413, with and without a Content-Length', async () => {
    const big = 'x'.repeat(1024 * 1024 + 1);
    const r = await post(big, { ...jsonKey, 'content-length': String(big.length) });
    expect([r.status, (await told(r)).code]).toEqual([413, 'FNS_413_PAYLOAD_TOO_LARGE']);
    const stream = new Blob([big]).stream();
    const streamed = await app.request('/api/v1/probe/1', {
      method: 'POST',
      body: stream,
      headers: jsonKey,
      duplex: 'half',
    } as RequestInit);
    expect(streamed.status).toBe(413);
  });

  it('refuses a body of another type with 415', async () => {
    const r = await post('{"memoryMb":64}', { ...key, 'content-type': 'text/plain' });
    expect([r.status, (await told(r)).code]).toEqual([415, 'FNS_415_MEDIA_TYPE']);
  });

  it('hides inner text behind a 500, and tells of a lost store with 503 and Retry-After', async () => {
    const inner = await post('{"memoryMb":66}');
    const text = await inner.text();
    expect([inner.status, text.includes('secret')]).toEqual([500, false]);
    expect(JSON.parse(text).code).toBe('FNS_500_INTERNAL');
    const lost = await post('{"memoryMb":67}');
    expect([lost.status, lost.headers.get('retry-after')]).toEqual([503, '5']);
    expect(faults).toHaveLength(2);
  });

  it('serves the OpenAPI document and the reference page without a key', async () => {
    const document = await told(await app.request('/api/v1/openapi.json'));
    expect(document.openapi).toBe('3.1.0');
    expect(document.paths['/readyz']).toBeDefined();
    for (const path of ['/docs', '/docs/swagger-ui-bundle.js', '/docs/swagger-ui.css', '/docs/start.js']) {
      const r = await app.request(path);
      expect([path, r.status, r.headers.get('content-security-policy')?.includes("default-src 'none'")]).toEqual([path, 200, true]);
    }
    for (const path of ['/docs/package.json', '/docs/..%2fpackage.json', '/docs/constructor'])
      expect((await app.request(path)).status).toBe(404);
  });

  it('leads whoever opens the bare address to the reference, where functions stand first', async () => {
    const r = await app.request('/');
    expect([r.status, r.headers.get('location')]).toEqual([302, '/docs']);
    const { tags } = await told(await app.request('/api/v1/openapi.json'));
    expect(tags[0].name).toBe('functions');
  });

  it('tells health at the root without a key', async () => {
    expect((await app.request('/healthz')).status).toBe(200);
    expect(await told(await app.request('/readyz'))).toEqual({ ready: true, checks: {} });
  });
});
