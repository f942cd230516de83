import http from 'node:http';
import { Platform, until } from './platform.js';

const WATCH = `exports.handler = async (e) => {
  for (const r of e.Records) console.log('seen <' + r.body + '>');
  return { batchItemFailures: e.Records.filter((r) => r.body.startsWith('bad')).map((r) => ({ itemIdentifier: r.messageId })) };
};`;
const ECHO = 'exports.handler = async (e) => e;';

describe('triggers', () => {
  const platform = new Platform();
  beforeAll(() => platform.start());
  afterAll(() => platform.dispose());

  let names = 0;
  const unique = (prefix: string) => {
    names += 1;
    return `${prefix}-${names}`;
  };
  const bind = (fn: { functionId: string }, trigger: object) => platform.ok('POST', `/functions/${fn.functionId}/triggers`, trigger);
  const send = (queue: string, bodies: string[]) =>
    platform.ok('POST', `/queues/${queue}/messages`, { messages: bodies.map((body) => ({ id: body, body })) });
  const site = (method: string, path: string, headers: Record<string, string> = {}, body?: string) =>
    platform.call(method, `/http/default${path}`, { root: true, key: null, headers, body });
  const seen = async (fn: { functionId: string }) => {
    const { items } = await platform.ok('GET', `/functions/${fn.functionId}/logs?limit=1000`);
    return (items as { message: string }[]).flatMap(({ message }) => [...message.matchAll(/seen <(.*?)>/g)].map(([, text]) => text!));
  };
  const invocations = async (fn: { functionId: string }) =>
    (await platform.ok('GET', `/functions/${fn.functionId}/invocations?limit=1000`)).items as { state: string; requestId: string }[];
  const letters = async (fn: { functionId: string }) =>
    (await platform.ok('GET', `/functions/${fn.functionId}/dead-letters`)).items as {
      requestId: string;
      attempts: number;
      reason: string;
    }[];

  describe('of a queue', () => {
    it('count and bill a batch once, and show the depth of the queue', async () => {
      const queue = unique('q');
      const fn = await platform.function(WATCH);
      expect(await send(queue, ['a', 'b', 'c'])).toEqual({ accepted: 3, duplicates: 0, messageIds: ['a', 'b', 'c'] });
      expect(await platform.ok('GET', `/queues/${queue}`)).toMatchObject({ name: queue, depth: 3, inFlight: 0 });
      const trigger = await bind(fn, { type: 'queue', queue });
      expect(trigger).toMatchObject({ state: 'ENABLED', queue, batchSize: 10 });
      await until('the queue is empty', async () => (await platform.ok('GET', `/queues/${queue}`)).depth === 0);
      const all = await invocations(fn);
      expect(all).toMatchObject([{ state: 'SUCCEEDED', source: { type: 'queue', queue, triggerId: trigger.triggerId } }]);
      expect(await send(queue, ['a', 'd'])).toMatchObject({ accepted: 1, duplicates: 1 });
      await until('the new one ran', async () => (await seen(fn)).includes('d'));
      expect((await seen(fn)).sort()).toEqual(['a', 'b', 'c', 'd']);
    });

    it('make a dead letter of a bad message, whose replay is judged by what the handler says of it', async () => {
      const queue = unique('q');
      const fn = await platform.function(WATCH, { retry: { maxRetries: 1, baseDelayMs: 10, maxAgeSec: 60 } });
      await bind(fn, { type: 'queue', queue });
      await send(queue, ['good', 'bad-one']);
      await until('it is dead', async () => (await letters(fn)).length === 1);
      const [letter] = await letters(fn);
      expect(letter).toMatchObject({ attempts: 2, reason: 'max_retries' });
      const dead = await platform.ok('GET', `/invocations/${letter!.requestId}`);
      expect(dead).toMatchObject({
        state: 'DEAD',
        billedMs: 0,
        source: { queue, messageId: 'bad-one' },
        attempts: [{ fault: 'tenant', error: { type: 'Queue.BatchItemFailure' } }, {}],
      });
      await platform.ok('POST', `/invocations/${letter!.requestId}/replay`);
      await until('it is dead again', async () => (await platform.ok('GET', `/invocations/${letter!.requestId}`)).attempts.length === 4);
      await platform.ok('PUT', `/functions/${fn.functionId}/code`, {
        files: { 'index.js': WATCH.replace("startsWith('bad')", "startsWith('worse')") },
      });
      await until('it is dead', async () => (await platform.ok('GET', `/invocations/${letter!.requestId}`)).state === 'DEAD');
      await platform.ok('POST', `/invocations/${letter!.requestId}/replay`);
      await until('it is healed', async () => (await platform.ok('GET', `/invocations/${letter!.requestId}`)).state === 'SUCCEEDED');
      expect(await letters(fn)).toEqual([]);
    });

    it('pause while the function is disabled or the trigger is', async () => {
      const queue = unique('q');
      const fn = await platform.function(WATCH);
      const { triggerId } = await bind(fn, { type: 'queue', queue });
      const path = `/functions/${fn.functionId}/triggers/${triggerId}`;
      await platform.ok('PUT', `/functions/${fn.functionId}/state`, { state: 'DISABLED' });
      await send(queue, ['one']);
      expect(await platform.ok('GET', path)).toMatchObject({ state: 'PAUSED', depth: 1 });
      await platform.ok('PUT', `/functions/${fn.functionId}/state`, { state: 'ENABLED' });
      await until('it ran', async () => (await seen(fn)).includes('one'));
      expect(await platform.ok('PATCH', path, { enabled: false })).toMatchObject({ state: 'DISABLED' });
      await send(queue, ['two']);
      expect((await platform.ok('GET', `/queues/${queue}`)).inFlight).toBe(0);
      await platform.ok('PATCH', path, { enabled: true, batchSize: 1 });
      await until('it ran', async () => (await seen(fn)).includes('two'));
      expect(await seen(fn)).toEqual(['one', 'two']);
    });

    it('lose and repeat nothing that was settled when the platform is killed under load', async () => {
      const own = await new Platform().start();
      try {
        const fn = await own.function(
          "exports.handler = async (e) => { for (const r of e.Records) console.log('seen <' + r.body + '>'); await new Promise((d) => setTimeout(d, 30)); };",
        );
        await own.ok('POST', `/functions/${fn.functionId}/triggers`, { type: 'queue', queue: 'k', batchSize: 5 });
        const bodies = Array.from({ length: 300 }, (_, i) => `m-${i}`);
        await own.ok('POST', '/queues/k/messages', { messages: bodies.map((body) => ({ id: body, body })) });
        for (let left = 250; left > 0; left -= 120) {
          await until('some are done', async () => (await own.ok('GET', '/queues/k')).depth <= left, 20_000);
          await own.kill();
          await own.start();
        }
        await until('the queue is empty', async () => (await own.ok('GET', '/queues/k')).depth === 0, 30_000);
        const batches = (await own.ok('GET', `/functions/${fn.functionId}/invocations?limit=1000&state=SUCCEEDED`)).items;
        // A batch is recorded as succeeded once, whatever happened: 300 messages in batches of 5, none of them failed.
        const item = (await own.ok('GET', '/usage?groupBy=function')).items.find((each: { key: string }) => each.key === fn.functionId);
        expect([batches.length, item.requests]).toEqual([60, 60]);
        expect((await own.ok('GET', `/functions/${fn.functionId}/dead-letters`)).items).toEqual([]);
      } finally {
        await own.dispose();
      }
    });
  });

  describe('of a schedule', () => {
    it('tell the next runs, and refuse what is never due', async () => {
      const fn = await platform.function(ECHO);
      const made = await bind(fn, { type: 'cron', schedule: 'cron(0 8 ? * MON-FRI *)', timezone: 'Asia/Shanghai', input: { a: 1 } });
      expect(made).toMatchObject({ state: 'ENABLED', missedRuns: 'once', input: { a: 1 } });
      expect(made.nextRuns).toHaveLength(3);
      for (const run of made.nextRuns) expect(run).toMatch(/T00:00:00\.000Z$/);
      const refused = async (schedule: string, more = {}) =>
        (await platform.call('POST', `/functions/${fn.functionId}/triggers`, { body: { type: 'cron', schedule, ...more } })).json;
      expect(await refused('at(2020-01-01T00:00:00)')).toMatchObject({ status: 422, errors: [{ field: 'schedule' }] });
      expect(await refused('* * *')).toMatchObject({ status: 422, errors: [{ field: 'schedule' }] });
      expect(await refused('* * * * *', { timezone: 'Nowhere/Land' })).toMatchObject({ status: 422, errors: [{ field: 'timezone' }] });
      expect(await refused('* * * * *', { batchSize: 3 })).toMatchObject({ status: 422, errors: [{ field: 'batchSize' }] });
    });

    it('make up once for what was missed while the platform was down', async () => {
      const own = await new Platform().start();
      try {
        const fn = await own.function(ECHO);
        await own.ok('POST', `/functions/${fn.functionId}/triggers`, { type: 'cron', schedule: '* * * * * *' });
        const runs = async () =>
          (await own.ok('GET', `/functions/${fn.functionId}/invocations?limit=100`)).items as { requestId: string }[];
        await until('it ran', async () => (await runs()).length >= 1);
        await own.kill();
        const downAt = Date.now();
        await new Promise((resolve) => setTimeout(resolve, 4_000));
        await own.start();
        const upAt = Date.now();
        await until('it runs again', async () => (await runs()).length >= 4, 15_000);
        const due: number[] = [];
        for (const { requestId } of await runs()) {
          const done = await until('it has ended', async () => {
            const one = await own.ok('GET', `/invocations/${requestId}`);
            return one.state === 'SUCCEEDED' && one;
          });
          due.push(Date.parse(done.result.scheduledTime));
        }
        expect(new Set(due).size).toBe(due.length);
        expect(due.filter((at) => at > downAt && at < upAt - 1_500).length).toBeLessThanOrEqual(1);
      } finally {
        await own.dispose();
      }
    });

    it('fail visibly', async () => {
      const fn = await platform.function("exports.handler = async () => { throw new Error('no'); };", { retry: { maxRetries: 0 } });
      const { triggerId } = await bind(fn, { type: 'cron', schedule: '* * * * * *' });
      await until(
        'it shows',
        async () => (await platform.ok('GET', `/functions/${fn.functionId}/triggers/${triggerId}`)).state === 'FAILING',
      );
      await platform.ok('DELETE', `/functions/${fn.functionId}/triggers/${triggerId}`);
      expect((await platform.call('GET', `/functions/${fn.functionId}/triggers/${triggerId}`)).status).toBe(404);
    });
  });

  describe('of a route', () => {
    it('refuse a route that is taken, move with a change, and vanish with their function', async () => {
      const path = `/${unique('p')}/{id}`;
      const fn = await platform.function(ECHO);
      const { triggerId } = await bind(fn, { type: 'http', path, methods: ['GET'], auth: 'none' });
      const taken = await platform.call('POST', `/functions/${fn.functionId}/triggers`, {
        body: { type: 'http', path: path.replace('id', 'other'), methods: ['GET', 'POST'] },
      });
      expect([taken.status, taken.json.code]).toEqual([409, 'FNS_409_ROUTE_TAKEN']);
      const at = path.replace('{id}', '7');
      expect((await site('GET', at)).json.pathParameters).toEqual({ id: '7' });
      await platform.ok('PATCH', `/functions/${fn.functionId}/triggers/${triggerId}`, { path: `/moved${path}` });
      expect([(await site('GET', at)).status, (await site('GET', `/moved${at}`)).status]).toEqual([404, 200]);
      await platform.ok('PUT', `/functions/${fn.functionId}/state`, { state: 'DISABLED' });
      expect((await site('GET', `/moved${at}`)).json.code).toBe('FNS_409_DISABLED');
      await platform.ok('DELETE', `/functions/${fn.functionId}`);
      expect((await site('GET', `/moved${at}`)).status).toBe(404);
      const again = await platform.function(ECHO);
      await bind(again, { type: 'http', path: `/moved${path}`, methods: ['GET'], auth: 'none' });
    });

    it('serve the tenant’s own host without the confinement of the path form', async () => {
      const path = `/${unique('p')}`;
      const fn = await platform.function("exports.handler = async () => ({ statusCode: 200, body: 'hi', cookies: ['a=1'] });");
      const made = await bind(fn, { type: 'http', path, auth: 'none' });
      expect(made).toMatchObject({
        url: `http://default.localhost:${platform.port}${path}`,
        pathUrl: `${platform.url}/http/default${path}`,
      });
      const headers = await new Promise<http.IncomingHttpHeaders>((done) => {
        http.get({ port: platform.port, host: '127.0.0.1', path, headers: { host: `default.localhost:${platform.port}` } }, (res) => {
          res.resume();
          done(res.headers);
        });
      });
      expect(headers['content-security-policy']).toBeUndefined();
      expect(headers['set-cookie']).toEqual(['a=1']);
      expect((await site('GET', path)).headers.get('content-security-policy')).toBe('sandbox');
    });

    it('repeat an answer under a key where that is the setting, and refuse another request under it', async () => {
      const path = `/${unique('p')}`;
      const fn = await platform.function('let n = 0; exports.handler = async (e) => ({ n: ++n, body: e.body });');
      await bind(fn, { type: 'http', path, auth: 'none', idempotency: true });
      const ask = (body: string, headers = {}) =>
        site('POST', path, { 'idempotency-key': 'k', 'content-type': 'text/plain', ...headers }, body);
      const first = await ask('x');
      const again = await ask('x');
      expect([first.json, again.json, again.headers.get('idempotency-replayed')]).toEqual([
        { n: 1, body: 'x' },
        { n: 1, body: 'x' },
        'true',
      ]);
      expect((await ask('y')).json.code).toBe('FNS_409_DUP_REQ');
      expect((await ask('x', { cookie: 'a=2' })).json.code).toBe('FNS_409_DUP_REQ');
    });

    it('stream what the handler streams as it comes', async () => {
      const path = `/${unique('p')}`;
      const fn = await platform.function(`exports.handler = awslambda.streamifyResponse(async (event, stream) => {
        stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'content-type': 'text/plain' } });
        stream.write('first ');
        await new Promise((r) => setTimeout(r, 700));
        stream.end('last');
      });`);
      await bind(fn, { type: 'http', path, auth: 'none' });
      const startedAt = performance.now();
      const answer = await fetch(`${platform.url}/http/default${path}`);
      const reader = answer.body!.getReader();
      const chunk = await reader.read();
      const firstAfterMs = performance.now() - startedAt;
      let text = Buffer.from(chunk.value!).toString();
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += Buffer.from(next.value).toString();
      expect([answer.status, answer.headers.get('content-type'), text]).toEqual([201, 'text/plain', 'first last']);
      expect(performance.now() - startedAt - firstAfterMs).toBeGreaterThan(400);
    });

    it('answer a late function with 504, and nobody else’s key with 403', async () => {
      const path = `/${unique('p')}`;
      const fn = await platform.function('exports.handler = () => new Promise(() => setTimeout(() => {}, 1e6));', { timeoutSec: 1 });
      await bind(fn, { type: 'http', path, auth: 'none' });
      const late = await site('GET', path);
      expect([late.status, late.json.code]).toEqual([504, 'FNS_504_FUNCTION_TIMEOUT']);
      expect(await platform.ok('GET', `/invocations/${late.json.requestId}`)).toMatchObject({
        state: 'TIMED_OUT',
        source: { type: 'http' },
      });
    });
  });

  it('are audited', async () => {
    const fn = await platform.function(ECHO);
    const { triggerId } = await bind(fn, { type: 'http', path: `/${unique('p')}` });
    await platform.ok('PATCH', `/functions/${fn.functionId}/triggers/${triggerId}`, { enabled: false });
    await platform.ok('DELETE', `/functions/${fn.functionId}/triggers/${triggerId}`);
    const { items } = await platform.ok('GET', '/audit?action=trigger.*&limit=3');
    expect(items.map(({ action, target }: { action: string; target: string }) => [action, target])).toEqual([
      ['trigger.delete', triggerId],
      ['trigger.update', triggerId],
      ['trigger.create', triggerId],
    ]);
  });
});
