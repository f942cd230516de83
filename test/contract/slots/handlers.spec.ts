import { Rig } from './rig';

describe('a Node slot runs handlers', () => {
  const rig = new Rig({ spares: 2 });
  afterAll(() => rig.close());

  it('that are async, get their event, and give its JSON back', async () => {
    expect(await rig.result(rig.fn('exports.handler = async (e) => ({ got: e });'), { text: 'grüße 🙂' })).toEqual({
      got: { text: 'grüße 🙂' },
    });
  });

  it('that call back, at once or later', async () => {
    const fn = rig.fn(
      'exports.handler = (e, c, callback) => (e.later ? setTimeout(() => callback(null, "later"), 5) : callback(null, "now"));',
    );
    expect([await rig.result(fn, { later: true }), await rig.result(fn, {})]).toEqual(['later', 'now']);
  });

  it('that simply return, and takes nothing returned for null', async () => {
    expect(await rig.result(rig.fn('exports.handler = (e) => e.n + 1;'), { n: 1 })).toBe(2);
    expect(await rig.result(rig.fn('exports.handler = () => {};'))).toBeNull();
    expect(await rig.result(rig.fn('exports.handler = async () => false;'))).toBe(false);
  });

  it('of the old kind, with context.succeed, fail and done', async () => {
    const fn = rig.fn(
      'exports.handler = (e, context, _cb) => { if (e.fail) context.fail(new Error("no")); else if (e.done) context.done(null, 1); else context.succeed(2); };',
    );
    expect([await rig.result(fn, { done: true }), await rig.result(fn)]).toEqual([1, 2]);
    expect((await rig.failure(fn, { fail: true })).error.message).toBe('no');
  });

  it('in ES modules, by ending or by package.json, with top-level await and imports', async () => {
    const byEnding = rig.fn({
      'index.mjs':
        "import { twice } from './lib/twice.mjs';\nconst base = await Promise.resolve(1);\nexport const handler = async (n) => twice(n) + base;",
      'lib/twice.mjs': 'export const twice = (n) => n * 2;',
    });
    expect(await rig.result(byEnding, 21)).toBe(43);
    const byManifest = rig.fn({
      'package.json': '{"type":"module"}',
      'index.js': 'export const handler = async () => import.meta.url.slice(-8);',
    });
    expect(await rig.result(byManifest)).toBe('index.js');
  });

  it('in another file, folder and property', async () => {
    expect(
      await rig.result(rig.fn({ 'src/app.js': 'exports.api = { go: async (e) => e.text };' }, { handler: 'src/app.api.go' }), {
        text: 'x',
      }),
    ).toBe('x');
    expect(await rig.result(rig.fn({ 'app/index.js': 'exports.handler = async () => 7;' }, { handler: 'app.handler' }))).toBe(7);
    expect(await rig.result(rig.fn({ 'app.cjs': 'exports.handler = async () => 8;' }, { handler: 'app.handler' }))).toBe(8);
  });

  it('with packages of their own and of layers, a later layer over an earlier one', async () => {
    const library = (name: string, text: string) => ({ [`nodejs/node_modules/${name}/index.js`]: `module.exports = '${text}';` });
    rig.write('layer-a', { ...library('both', 'a'), ...library('only-a', 'a') });
    rig.write('layer-b', library('both', 'b'));
    const fn = rig.fn(
      {
        'index.js': "exports.handler = async () => [require('both'), require('only-a'), require('own')];",
        'node_modules/own/index.js': "module.exports = 'own';",
      },
      { layers: ['layer-a', 'layer-b'] },
    );
    expect(await rig.result(fn)).toEqual(['b', 'a', 'own']);
  });

  it('with the context of Lambda, and attempt, tenant, namespace and trigger', async () => {
    const fn = rig.fn(
      'exports.handler = async (e, c) => ({ ...c, left: c.getRemainingTimeInMillis(), keys: typeof c.done + typeof c.succeed + typeof c.fail });',
      { version: '3', timeoutSec: 2 },
    );
    const call = { attempt: 4, triggerId: 'trg_1' };
    const context = (await rig.result(fn, {}, call)) as Record<string, unknown>;
    expect(context).toMatchObject({
      functionName: fn.functionName,
      functionVersion: '3',
      memoryLimitInMB: '128',
      callbackWaitsForEmptyEventLoop: true,
      attempt: 4,
      tenant: 'default',
      namespace: 'default',
      triggerId: 'trg_1',
      keys: 'functionfunctionfunction',
    });
    expect(context.awsRequestId).toMatch(/^req_/);
    expect(context.invokedFunctionArn).toMatch(/^arn:aws:lambda:[^:]+:\d{12}:function:.*:3$/);
    expect(context.left).toBeGreaterThan(1000);
    expect(context.left).toBeLessThanOrEqual(2000);
  });

  it('with their own variables and those of Lambda, and nothing of the platform', async () => {
    process.env.FNS_TEST_SECRET = 'platform';
    const env = (await rig.result(
      rig.fn('exports.handler = async () => process.env;', { env: { WHO: 'me', _HANDLER: 'mine' } }),
    )) as Record<string, string>;
    delete process.env.FNS_TEST_SECRET;
    expect(env).toMatchObject({
      WHO: 'me',
      _HANDLER: 'index.handler',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    });
    expect(env.LAMBDA_TASK_ROOT).toContain(rig.folder);
    expect(Object.keys(env).filter((name) => name.startsWith('FNS') || name.startsWith('npm_'))).toEqual([]);
  });

  it('that stream their answer, piece by piece, head first', async () => {
    const fn = rig.fn(`exports.handler = awslambda.streamifyResponse(async (e, stream, context) => {
      const out = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'x-id': context.awsRequestId } });
      out.write('one ');
      await new Promise((r) => setTimeout(r, 20));
      out.write(Buffer.from('two'));
      out.end();
    });`);
    const chunks: string[] = [];
    const onChunk = (chunk: { kind: string; json?: string; bytes?: Uint8Array }) =>
      void chunks.push(chunk.kind === 'head' ? `head ${chunk.json}` : Buffer.from(chunk.bytes!).toString());
    expect(await rig.result(fn, {}, { onChunk })).toBeNull();
    expect(chunks[0]).toMatch(/^head \{"statusCode":201,"headers":\{"x-id":"req_/);
    expect(chunks.slice(1)).toEqual(['one ', 'two']);
    expect(await rig.result(fn)).toMatchObject({ statusCode: 201, body: 'one two', isBase64Encoded: false });
  });

  it('holds a streaming handler back while its reader is slow', async () => {
    const fn = rig.fn(`exports.handler = awslambda.streamifyResponse(async (e, stream) => {
      for (let n = 0; n < 64; n += 1) if (!stream.write(Buffer.alloc(1024 * 1024))) await new Promise((r) => stream.once('drain', r));
      stream.end();
    });`);
    let taken = 0;
    let open: () => void = () => undefined;
    const gate = new Promise<void>((done) => {
      open = done;
    });
    const running = rig.run(
      fn,
      {},
      {
        onChunk: ((chunk) => {
          if (chunk.kind === 'data') taken += chunk.bytes.length;
          return gate;
        }) as NonNullable<Parameters<Rig['call']>[1]>['onChunk'],
      },
    );
    await rig.until('something has come', () => taken > 0);
    await new Promise((done) => setTimeout(done, 100));
    expect(taken).toBeLessThan(4 * 1024 * 1024);
    open();
    expect((await running).kind).toBe('succeeded');
    expect(taken).toBe(64 * 1024 * 1024);
  });

  it('with payloads and results of 6 MB', async () => {
    const text = 'x'.repeat(6 * 1024 * 1024 - 2);
    expect(await rig.result(rig.fn('exports.handler = async (e) => e;'), text)).toBe(text);
  });

  it('of one-shot functions in a fresh process each', async () => {
    const fn = rig.fn('let n = 0; exports.handler = async () => [process.pid, (n += 1)];', { processModel: 'one-shot' });
    const [a, b] = [await rig.run(fn), await rig.run(fn)];
    expect([a.coldStart, b.coldStart]).toEqual([true, true]);
    expect(a.kind === 'succeeded' && b.kind === 'succeeded' && a.result !== b.result).toBe(true);
    const both = await Promise.all([rig.result(fn), rig.result(fn)]);
    expect(both.map((one) => (one as number[])[1])).toEqual([1, 1]);
  });

  it('side by side in one process where the function allows it', async () => {
    const source = `let now = 0, most = 0;
      exports.handler = async (e) => { now += 1; most = Math.max(most, now); console.log('in ' + e); await new Promise((r) => setTimeout(r, 50)); now -= 1; return [process.pid, most, e]; };`;
    const fn = rig.fn(source, { concurrency: { perSlot: 4 }, maxSlots: 1 });
    const answers = (await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => rig.result(fn, n)))) as number[][];
    expect(new Set(answers.map(([pid]) => pid)).size).toBe(1);
    expect(Math.max(...answers.map(([, most]) => most!))).toBe(4);
    expect(answers.map(([, , n]) => n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});
