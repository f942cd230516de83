import { asFunctionId, asRequestId, asTenantId } from '../../../lib/core/ids.js';
import type { Head } from '../../../lib/core/invocations/model.js';
import type { Invocations } from '../../../lib/core/invocations/service.js';
import { notFound, Refusal } from '../../../lib/core/refusal.js';
import { api } from '../../../lib/http/app.js';
import { presentDeadLetter, presentInvocation } from '../../../lib/http/present/invocation.js';
import { servicesOf } from './services.js';

const head = (over: Partial<Head> = {}): Head => ({
  requestId: asRequestId('req_01h0000000000000000000000a'),
  tenantId: asTenantId('default'),
  functionId: asFunctionId('fn_00000000000000000001'),
  qualifier: '$LATEST',
  mode: 'async',
  priority: 'normal',
  state: 'SUCCEEDED',
  acceptedAt: 1_000,
  readyAt: 1_000,
  parked: false,
  completedAt: 2_000,
  attempt: 2,
  lastNonce: 'nonce-1',
  attempts: [
    {
      attempt: 1,
      version: '$LATEST',
      codeSha256: 'x',
      memoryMb: 128,
      startedAt: 1_100,
      durationMs: 1.5,
      billedMs: 2,
      coldStart: true,
      outcome: 'FAILED',
      fault: 'tenant',
      error: { type: 'Error', message: 'no' },
    },
    {
      attempt: 2,
      version: '3',
      codeSha256: 'y',
      memoryMb: 1024,
      startedAt: 1_900,
      durationMs: 999.001,
      billedMs: 1000,
      coldStart: false,
      outcome: 'SUCCEEDED',
      fault: null,
    },
  ],
  chain: { startedAt: 1_000, tenantFaults: 1, platformFaults: 0, deaths: 0 },
  replays: 0,
  payloadBytes: 2,
  ...over,
});

describe('an invocation as the API tells it', () => {
  it('has every field of the contract, exact usage, and nothing of the inside', () => {
    const told = JSON.parse(presentInvocation(head(), '{"a":1}'));
    expect(told).toEqual({
      ...{ requestId: 'req_01h0000000000000000000000a', functionId: 'fn_00000000000000000001', version: '3', qualifier: '$LATEST' },
      ...{
        mode: 'async',
        state: 'SUCCEEDED',
        priority: 'normal',
        acceptedAt: '1970-01-01T00:00:01.000Z',
        completedAt: '1970-01-01T00:00:02.000Z',
      },
      attempts: [
        {
          attempt: 1,
          version: '$LATEST',
          memoryMb: 128,
          startedAt: '1970-01-01T00:00:01.100Z',
          durationMs: 1.5,
          billedMs: 2,
          coldStart: true,
          outcome: 'FAILED',
          fault: 'tenant',
          error: { type: 'Error', message: 'no' },
        },
        {
          attempt: 2,
          version: '3',
          memoryMb: 1024,
          startedAt: '1970-01-01T00:00:01.900Z',
          durationMs: 999.001,
          billedMs: 1000,
          coldStart: false,
          outcome: 'SUCCEEDED',
          fault: null,
        },
      ],
      ...{ billedMs: 1002, gbSec: '1.00025', replays: 0, result: { a: 1 } },
    });
  });

  it('carries the result’s JSON as it is, big numbers and spaces too', () => {
    const result = '{ "n": 12345678901234567890, "n": 1.0 }';
    expect(presentInvocation(head(), result)).toContain(`,"result":${result}}`);
    expect(JSON.parse(presentInvocation(head({ state: 'ACCEPTED', attempts: [], completedAt: undefined })))).toMatchObject({
      version: null,
      gbSec: '0',
      billedMs: 0,
    });
  });

  it('as a dead letter has the number of attempts and the last error', () => {
    const dead = head({ state: 'DEAD', deadReason: 'max_retries', deadAt: 3_000, error: { type: 'Error', message: 'no' } });
    expect(presentDeadLetter(dead)).toMatchObject({
      reason: 'max_retries',
      attempts: 2,
      lastError: { type: 'Error', message: 'no' },
      deadAt: '1970-01-01T00:00:03.000Z',
    });
  });
});

describe('the routes of invocations', () => {
  const asked: unknown[] = [];
  const progress = { replayId: 'rpl_1', matched: 1, replayed: 0, healed: 0, failed: 0, done: false };
  const invocations = {
    get: async (_, requestId) => (requestId === head().requestId ? head({ result: { kind: 'inline', json: '[1]' } }) : undefined),
    result: async (each) => (each.result?.kind === 'inline' ? each.result.json : undefined),
    list: async (filter) => {
      asked.push(filter);
      return {
        items: [head({ result: { kind: 'inline', json: '[1]' } }), head({ result: { kind: 'blob', digest: 'd', bytes: 9e6 } })],
        nextCursor: 'next"1',
      };
    },
    deadLetters: async () => ({ items: [head({ state: 'DEAD', deadReason: 'max_age', deadAt: 1 })] }),
    replay: async (filter, ratePerSec) => {
      asked.push({ filter, ratePerSec });
      return progress;
    },
    replayOne: async (_, requestId) =>
      requestId.endsWith('a') ? progress : requestId.endsWith('b') ? new Refusal(409, 'FNS_409_NOT_DEAD', 'no') : undefined,
    replayProgress: async (_, replayId) => (replayId === 'rpl_1' ? progress : undefined),
  } satisfies Partial<Invocations> as unknown as Invocations;
  const functions = {
    get: async (tenantId: string, functionId: string) => {
      if (functionId !== 'fn_1') throw notFound('function', functionId);
      return { tenantId, functionId };
    },
  };
  const app = api(servicesOf({ invocations, functions: functions as never }));
  const call = async (method: string, path: string, body?: unknown) => {
    const r = await app.request(`/api/v1${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { authorization: 'Bearer developer', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    });
    // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
    return { status: r.status, json: (await r.json()) as any };
  };

  it('gives one, and 404 for any other id', async () => {
    expect((await call('GET', `/invocations/${head().requestId}`)).json).toMatchObject({ state: 'SUCCEEDED', result: [1] });
    for (const id of ['req_none', '%00', 'req_01h0000000000000000000000b'])
      expect((await call('GET', `/invocations/${id}`)).json.code).toBe('FNS_404_INVOCATION');
  });

  it('lists with filters, leaves large results out, and refuses unknown states by name', async () => {
    const r = await call('GET', '/functions/fn_1/invocations?state=SUCCEEDED,DEAD&from=2026-01-01T00:00:00Z&limit=2&cursor=c');
    expect(r.json.items.map((each: { result?: unknown }) => each.result)).toEqual([[1], undefined]);
    expect(r.json.nextCursor).toBe('next"1');
    expect(asked.at(-1)).toEqual({
      tenantId: 'default',
      functionId: 'fn_1',
      states: ['SUCCEEDED', 'DEAD'],
      fromMs: Date.UTC(2026, 0, 1),
      toMs: undefined,
      limit: 2,
      cursor: 'c',
    });
    const bad = await call('GET', '/functions/fn_1/invocations?state=NONSENSE');
    expect([bad.status, bad.json.errors[0].field, bad.json.errors[0].allowed]).toEqual([422, 'state', expect.stringContaining('RETRYING')]);
    expect((await call('GET', '/functions/fn_2/invocations')).status).toBe(404);
  });

  it('replays some by filter and one by id, and tells the progress', async () => {
    const r = await call('POST', '/functions/fn_1/dead-letters/replay', {
      filter: { errorType: 'Boom', from: '2026-01-01' },
      ratePerSec: 50,
    });
    expect([r.status, r.json]).toEqual([202, progress]);
    expect(asked.at(-1)).toMatchObject({ filter: { functionId: 'fn_1', errorType: 'Boom', fromMs: Date.UTC(2026, 0, 1) }, ratePerSec: 50 });
    expect((await call('POST', '/functions/fn_1/dead-letters/replay', {})).status).toBe(202);
    expect((await call('POST', '/functions/fn_1/dead-letters/replay', { filter: { errortype: 'x' } })).json.errors[0].field).toBe(
      'filter.errortype',
    );
    const ids = ['a', 'b', 'c'].map((last) => `/invocations/req_01h0000000000000000000000${last}/replay`);
    expect(await Promise.all(ids.map(async (path) => (await call('POST', path)).status))).toEqual([202, 409, 404]);
    expect((await call('GET', '/replays/rpl_1')).json).toEqual(progress);
    expect((await call('GET', '/replays/rpl_2')).json.code).toBe('FNS_404_REPLAY');
  });

  it('answers another method on the invoke path with 405, which the document describes', async () => {
    expect((await call('GET', '/functions/fn_1/invoke')).status).toBe(405);
    const document = (await call('GET', '/openapi.json')).json;
    expect(document.paths['/api/v1/functions/{functionId}/invoke'].post.responses['202']).toBeDefined();
  });
});
