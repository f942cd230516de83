import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Functions } from '../../../lib/core/functions/service.js';
import { asFunctionId, asRequestId, asTenantId } from '../../../lib/core/ids.js';
import { notFound } from '../../../lib/core/refusal.js';
import { SegmentLogs } from '../../../lib/embedded/logs/segment-logs.js';
import { api } from '../../../lib/http/app.js';
import { clock, servicesOf } from './services.js';

const T0 = Date.parse('2026-03-01T12:00:00Z');

describe('GET /functions/{id}/logs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-http-logs-'));
  const logs = SegmentLogs.open(folder, clock);
  const functions = {
    get: async (_: unknown, functionId: string) => {
      if (functionId !== 'fn_one') throw notFound('function', functionId);
      return { functionId };
    },
  } as unknown as Functions;
  const app = api(servicesOf({ logs, functions }));
  const get = (query = '', key = 'viewer', id = 'fn_one'): Promise<Response> =>
    Promise.resolve(app.request(`/api/v1/functions/${id}/logs${query}`, { headers: { authorization: `Bearer ${key}` } }));
  const print = (message: string, requestId = 'req_a'): void =>
    logs.append({
      ...{ tenantId: asTenantId('default'), functionId: asFunctionId('fn_one'), version: '$LATEST', timeMs: T0, stream: 'stdout', message },
      requestId: asRequestId(requestId),
    });
  afterAll(async () => {
    await logs.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('answers lines of the documented form, page by page', async () => {
    print('one');
    print('two', '');
    const first = (await (await get('?limit=1')).json()) as { items: unknown[]; nextCursor: string };
    expect(first.items).toEqual([
      { time: '2026-03-01T12:00:00.000Z', stream: 'stdout', requestId: 'req_a', version: '$LATEST', message: 'one' },
    ]);
    const second = await (await get(`?limit=1&cursor=${first.nextCursor}`)).json();
    expect(second).toEqual({ items: [expect.objectContaining({ message: 'two', requestId: null })] });
  });

  it('finds by request and by text', async () => {
    print('needle', 'req_b');
    for (const query of ['?requestId=req_b', '?q=eedl']) {
      const { items } = (await (await get(query)).json()) as { items: unknown[] };
      expect(items).toEqual([expect.objectContaining({ message: 'needle', requestId: 'req_b' })]);
    }
  });

  it.each([
    '?limit=0',
    '?from=yesterday',
    '?follow=maybe',
    '?stream=stdout',
    '?cursor=zz',
    '?follow=true&to=2026-01-01',
    '?order=up',
    '?q=',
  ])('refuses %s', async (query) => {
    const answer = await get(query);
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([422, 'FNS_422_INVALID']);
  });

  it('is for those who may read, and for functions that are there', async () => {
    expect((await get('', 'invoker')).status).toBe(403);
    expect((await get('', 'nobody')).status).toBe(401);
    expect((await get('', 'viewer', 'fn_none')).status).toBe(404);
  });

  it('streams new lines as server-sent events until the client goes', async () => {
    const answer = await get('?follow=true');
    expect(answer.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    let got = '';
    // The reader asks before the line is printed, as a client's socket does.
    const read = async (): Promise<void> => {
      while (!got.includes('data:')) got += new TextDecoder().decode((await reader.read()).value);
    };
    const reading = read();
    await logs.search({ tenantId: asTenantId('default'), functionId: asFunctionId('fn_one'), limit: 1 });
    print('live');
    await reading;
    const data = /data: (.*)\n\n/.exec(got)?.[1] as string;
    expect(JSON.parse(data)).toMatchObject({ message: 'live', requestId: 'req_a' });
    expect(got).not.toContain('needle');
    await reader.cancel();
  });

  it('streams end when the platform stops', async () => {
    const answer = await get('?follow=true&from=2026-03-01');
    const whole = answer.text();
    await logs.search({ tenantId: asTenantId('default'), functionId: asFunctionId('fn_one'), limit: 1 });
    logs.endFollowers();
    expect((await whole).match(/data:/g)?.length).toBeGreaterThan(2);
  });
});
