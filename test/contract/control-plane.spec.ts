import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import type { CatalogChange } from '../../lib/core/functions/catalog.js';
import { asTenantId } from '../../lib/core/ids.js';
import { ADMIN, controlPlane } from './control.js';

const ECHO = { files: { 'index.js': 'exports.handler = async (event) => event;' } };
let plane: Awaited<ReturnType<typeof controlPlane>>;
let names = 0;
const good = (over: object = {}) => ({ name: `f-${++names}`, runtime: 'nodejs20', memoryMb: 128, timeoutSec: 3, code: ECHO, ...over });
const make = async (over: object = {}) => (await plane.call('POST', '/functions', good(over))).json;

beforeAll(async () => {
  plane = await controlPlane();
});
afterAll(() => plane.close());

describe('functions over the API', () => {
  it('creates with 201 and every field, gets, patches by merging, deletes', async () => {
    const r = await plane.call('POST', '/functions', good({ env: { A: '1' }, runtime: 'nodejs20.x', retry: { maxRetries: 2 } }));
    expect(r.status).toBe(201);
    expect(r.json).toMatchObject({
      ...{
        namespace: 'default',
        runtime: 'nodejs20',
        handler: 'index.handler',
        env: { A: '1' },
        layers: [],
        version: '$LATEST',
        status: 'ACTIVE',
      },
      ...{
        state: 'ENABLED',
        retry: { maxRetries: 2, baseDelayMs: 500, maxAgeSec: 21_600 },
        concurrency: { perSlot: 1 },
        priority: 'normal',
      },
    });
    expect(r.json.functionId).toMatch(/^fn_[0-9a-z]{20}$/);
    expect(r.json.codeSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(r.headers.get('etag')).toBe('"1"');
    const path = `/functions/${r.json.functionId}`;
    expect((await plane.call('GET', path)).json).toEqual(r.json);
    const patched = await plane.call('PATCH', path, {
      memoryMb: 512,
      env: { B: '2' },
      retry: { baseDelayMs: 10 },
      concurrency: { max: 3 },
    });
    expect(patched.json).toMatchObject({
      memoryMb: 512,
      env: { B: '2' },
      retry: { maxRetries: 2, baseDelayMs: 10 },
      concurrency: { max: 3, perSlot: 1 },
      timeoutSec: 3,
    });
    expect(patched.headers.get('etag')).toBe('"2"');
    expect((await plane.call('DELETE', path)).status).toBe(204);
    expect(plane.removed).toContain(r.json.functionId);
    expect((await plane.call('GET', path)).json.code).toBe('FNS_404_FUNCTION');
  });

  it('creates without code: ACTIVE, no digest, and nothing to publish', async () => {
    const made = await make({ code: undefined });
    expect([made.status, made.codeSha256]).toEqual(['ACTIVE', null]);
    expect((await plane.call('POST', `/functions/${made.functionId}/versions`, {})).json.code).toBe('FNS_409_NO_CODE');
  });

  it.each([
    ['an unknown field', { memoryMB: 128 }, 'memoryMB'],
    ['too little memory', { memoryMb: 63 }, 'memoryMb'],
    ['memory as text', { memoryMb: '128' }, 'memoryMb'],
    ['half a megabyte', { memoryMb: 128.5 }, 'memoryMb'],
    ['a name with a space', { name: 'not ok' }, 'name'],
    ['a name too long', { name: 'n'.repeat(65) }, 'name'],
    ['no time', { timeoutSec: 0 }, 'timeoutSec'],
    ['env that is no text', { env: { A: 1 } }, 'env.A'],
    ['an env name that is none', { env: { 'A-B': '1' } }, 'env.A-B'],
    ['an env name that acts on the platform', { env: { LD_PRELOAD: 'x' } }, 'env.LD_PRELOAD'],
    ['too much env', { env: { A: 'x'.repeat(40_000) } }, 'env'],
    ['a handler out of its folder', { handler: '../index.handler' }, 'handler'],
    ['a handler without export', { handler: 'index' }, 'handler'],
    ['a layer that is not there', { layers: ['x'] }, 'layers'],
    ['more reserved than the quota', { concurrency: { reserved: 101 } }, 'concurrency.reserved'],
    ['fewer slots at most than kept warm', { scaling: { min: 3, max: 2 } }, 'scaling.min'],
    ['concurrency in a one-shot process', { processModel: 'one-shot', concurrency: { perSlot: 2 } }, 'concurrency.perSlot'],
    ['an unknown field deep inside', { retry: { max: 1 } }, 'retry.max'],
    ['neither files nor image', { code: {} }, 'code'],
    ['no file at all', { code: { files: {} } }, 'code.files'],
  ])('refuses %s by name', async (_, over, field) => {
    const r = await plane.call('POST', '/functions', good(over));
    expect([r.status, r.json.code]).toEqual([422, 'FNS_422_INVALID']);
    expect(r.json.errors.map((each: { field: string }) => each.field)).toContain(field);
  });

  it('lists all runtimes for an unknown one, those of this machine first', async () => {
    const r = await plane.call('POST', '/functions', good({ runtime: 'cobol85' }));
    expect(r.status).toBe(422);
    expect(r.json.errors[0].allowed).toMatch(/^nodejs20, python3\.11; known, but not on this machine: .*java21/);
  });

  it('takes a known runtime that is not here with a warning, and refuses its code with the way to get it', async () => {
    const r = await plane.call('POST', '/functions', good({ runtime: 'java21', code: undefined, handler: 'com.acme.Main::handle' }));
    expect([r.status, r.json.status, r.json.warnings.length]).toEqual([201, 'ACTIVE', 1]);
    const put = await plane.call('PUT', `/functions/${r.json.functionId}/code`, { files: { 'a.jar': 'x' } });
    expect([put.status, put.json.code]).toEqual([409, 'FNS_409_RUNTIME_NOT_HERE']);
    const python = await plane.call('POST', '/functions', good({ runtime: 'python3.13' }));
    expect(python.json.detail).toContain('apt install python3.13');
    const image = await make({ runtime: 'image', code: undefined });
    expect((await plane.call('PUT', `/functions/${image.functionId}/code`, { imageUri: 'x/y' })).json.code).toBe(
      'FNS_409_RUNTIME_NOT_HERE',
    );
    const node = await make();
    const refused = await plane.call('PUT', `/functions/${node.functionId}/code`, { imageUri: 'x/y' });
    expect([refused.status, refused.json.errors[0].field]).toEqual([422, 'imageUri']);
  });

  it('refuses a name twice, and takes it in another namespace', async () => {
    const { name } = await make();
    expect((await plane.call('POST', '/functions', good({ name }))).json.code).toBe('FNS_409_EXISTS');
    expect((await plane.call('POST', '/functions', good({ name, namespace: 'nowhere' }))).json.code).toBe('FNS_404_NAMESPACE');
    expect((await plane.call('POST', '/namespaces', { name: 'shop' })).status).toBe(201);
    expect((await plane.call('POST', '/functions', good({ name, namespace: 'shop' }))).json.namespace).toBe('shop');
    expect((await plane.call('DELETE', '/namespaces/shop')).json.code).toBe('FNS_409_NOT_EMPTY');
    expect((await plane.call('GET', `/functions?name=${name}&namespace=shop`)).json.items).toHaveLength(1);
    expect((await plane.call('GET', `/functions?name=${name}`)).json.items).toHaveLength(2);
    expect((await plane.call('GET', `/namespaces/shop/functions/${name}`)).json.name).toBe(name);
  });

  it('creates or replaces by name, honouring If-Match and If-None-Match', async () => {
    const path = '/namespaces/default/functions/by-name';
    const body = { runtime: 'nodejs20', code: ECHO, memoryMb: 256 };
    const first = await plane.call('PUT', path, body, { 'if-none-match': '*' });
    expect(first.status).toBe(201);
    expect((await plane.call('PUT', path, body, { 'if-none-match': '*' })).json.code).toBe('FNS_412_EXISTS');
    const same = await plane.call('PUT', path, body);
    expect([same.status, same.headers.get('etag')]).toEqual([200, first.headers.get('etag')]);
    const next = await plane.call('PUT', path, { runtime: 'nodejs20', description: 'new' }, { 'if-match': first.headers.get('etag')! });
    expect(next.json).toMatchObject({
      functionId: first.json.functionId,
      description: 'new',
      memoryMb: 128,
      codeSha256: first.json.codeSha256,
    });
    expect((await plane.call('PUT', path, body, { 'if-match': first.headers.get('etag')! })).json.code).toBe('FNS_412_CHANGED');
    expect((await plane.call('PUT', '/namespaces/default/functions/other-one', body, { 'if-match': '*' })).status).toBe(412);
    const both = await Promise.all(
      [1, 2, 3].map((i) => plane.call('PUT', '/namespaces/default/functions/raced', { runtime: 'nodejs20', description: `${i}` })),
    );
    expect(both.map((each) => each.status).sort()).toEqual([200, 200, 201]);
  });

  it('keeps every one of many changes at once', async () => {
    const { functionId } = await make();
    const changes = [{ memoryMb: 300 }, { timeoutSec: 9 }, { description: 'd' }, { tags: { a: 'b' } }, { priority: 'low' }];
    await Promise.all(changes.map((each) => plane.call('PATCH', `/functions/${functionId}`, each)));
    expect((await plane.call('GET', `/functions/${functionId}`)).json).toMatchObject(Object.assign({}, ...changes));
  });

  it('refuses code that does not parse with file and line, and stays as it was', async () => {
    const made = await make();
    const r = await plane.call('PATCH', `/functions/${made.functionId}`, { handler: 'broken.handler' });
    expect([r.status, r.json.errors[0].message]).toEqual([422, 'index.js:3: Unexpected token']);
    expect((await plane.call('GET', `/functions/${made.functionId}`)).json).toEqual(made);
  });

  it('takes code as a zip, as multipart and as files, all the same content giving the same digest', async () => {
    const made = await make({ code: undefined });
    const path = `/functions/${made.functionId}/code`;
    const zip = zipSync({ 'index.js': Buffer.from('x = 1'), 'lib/a.js': Buffer.from('a') });
    const byZip = await plane.call('PUT', path, zip, { 'content-type': 'application/zip' });
    expect(byZip.json).toEqual({
      functionId: made.functionId,
      codeSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      sizeBytes: 6,
      version: '$LATEST',
    });
    const form = new FormData();
    form.set('code', new Blob([zip as Uint8Array<ArrayBuffer>]), 'code.zip');
    expect((await plane.call('PUT', path, form)).json.codeSha256).toBe(byZip.json.codeSha256);
    expect((await plane.call('PUT', path, { files: { 'lib/a.js': 'a', 'index.js': 'x = 1' } })).json.codeSha256).toBe(
      byZip.json.codeSha256,
    );
    expect(await readFile(join(await plane.code.folder(byZip.json.codeSha256), 'lib/a.js'), 'utf8')).toBe('a');
    for (const [body, type] of [
      [undefined, 'application/zip'],
      [Buffer.from('PK no zip'), 'application/zip'],
      [{}, undefined],
    ] as const) {
      expect((await plane.call('PUT', path, body, type ? { 'content-type': type } : {})).status).toBe(422);
    }
    expect((await plane.call('PUT', path, Buffer.from('x'), { 'content-type': 'text/plain' })).status).toBe(415);
  });

  it('publishes versions, lists them, and shows one', async () => {
    const { functionId } = await make();
    const one = await plane.call('POST', `/functions/${functionId}/versions`, { description: 'first' });
    expect([one.status, one.json.version, one.json.description]).toEqual([201, 1, 'first']);
    expect((await plane.call('POST', `/functions/${functionId}/versions`)).json.version).toBe(1);
    await plane.call('PUT', `/functions/${functionId}/code`, { files: { 'index.js': 'other' } });
    expect((await plane.call('POST', `/functions/${functionId}/versions`, {})).json.version).toBe(2);
    expect(
      (await plane.call('GET', `/functions/${functionId}/versions`)).json.items.map((each: { version: number }) => each.version),
    ).toEqual([1, 2]);
    expect((await plane.call('GET', `/functions/${functionId}/versions/1`)).json).toEqual(one.json);
    for (const odd of ['99', '0', 'x', '1e3'])
      expect((await plane.call('GET', `/functions/${functionId}/versions/${odd}`)).json.code).toBe('FNS_404_VERSION');
  });

  it('never shows one tenant another one’s functions, and asks each role what it may', async () => {
    const { functionId } = await make();
    const rival = (await plane.call('POST', '/tenants', { tenantId: 'rival' })).json;
    expect(rival.ownerKey.key).toMatch(/^fns_/);
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { memoryMb: 64 }],
      ['DELETE', '', undefined],
      ['PUT', '/code', ECHO],
      ['PUT', '/state', { state: 'DISABLED' }],
      ['POST', '/versions', {}],
      ['GET', '/versions', undefined],
    ] as const) {
      expect([method, path, (await plane.call(method, `/functions/${functionId}${path}`, body, {}, rival.ownerKey.key)).status]).toEqual([
        method,
        path,
        404,
      ]);
    }
    expect((await plane.call('GET', '/functions', undefined, {}, rival.ownerKey.key)).json.items).toEqual([]);
    expect((await plane.call('GET', '/tenants', undefined, {}, rival.ownerKey.key)).status).toBe(403);
    const roles = { developer: [200, 201, 403], viewer: [200, 403, 403], invoker: [403, 403, 403], billing: [403, 403, 403] };
    for (const [role, wanted] of Object.entries(roles)) {
      const { key } = (await plane.call('POST', '/keys', { name: role, role })).json;
      const got = [
        (await plane.call('GET', '/functions', undefined, {}, key)).status,
        (await plane.call('POST', '/functions', good(), {}, key)).status,
        (await plane.call('GET', '/keys', undefined, {}, key)).status,
      ];
      expect([role, got]).toEqual([role, wanted]);
    }
  });

  it('answers odd ids and cursors with a 4xx', async () => {
    for (const id of [
      '%00',
      '%2e%2e%2f',
      '%E0%A4%A',
      '__proto__',
      'constructor',
      `fn_${'x'.repeat(6000)}`,
      '%F0%9F%99%82',
      '*',
      '$LATEST',
    ]) {
      expect([id.slice(0, 20), (await plane.call('GET', `/functions/${id}`)).status]).toEqual([id.slice(0, 20), 404]);
    }
    for (const query of ['limit=0', 'cursor=%00zz', 'cursor=e30', 'cursor=__proto__', 'evil=1', 'name=a%20b']) {
      expect([query, (await plane.call('GET', `/functions?${query}`)).status]).toEqual([query, 422]);
    }
  });
});

describe('the catalog of the data path', () => {
  const tenantId = asTenantId('default');

  it('knows every change at once, and restarts slots only where something they were started from changed', async () => {
    const changes: CatalogChange[] = [];
    plane.catalog.onChange((change) => changes.push(change));
    const { functionId } = await make();
    const spec = async (qualifier = '$LATEST') => {
      const fn = await plane.catalog.find(tenantId, functionId);
      return fn ? plane.catalog.spec(fn, qualifier) : undefined;
    };
    const first = await spec();
    expect(first).toMatchObject({ functionId, version: '$LATEST', memoryMb: 128, env: {}, minSlots: 0, functionName: expect.any(String) });
    expect(await spec()).toBe(first);
    await plane.call('PATCH', `/functions/${functionId}`, { description: 'only words', retry: { maxRetries: 0 } });
    expect(await spec()).toMatchObject({ key: (first as { key: string }).key });
    expect(changes.at(-1)).toMatchObject({ functionId, slots: false });
    await plane.call('POST', `/functions/${functionId}/versions`, {});
    await plane.call('PATCH', `/functions/${functionId}`, { env: { X: '1' }, scaling: { min: 1 } });
    expect(changes.at(-1)).toMatchObject({ functionId, slots: true });
    const second = await spec();
    expect(second).toMatchObject({ env: { X: '1' }, minSlots: 1 });
    expect((second as { key: string }).key).not.toBe((first as { key: string }).key);
    expect(await spec('1')).toMatchObject({ version: '1', env: {}, minSlots: 0 });
    for (const odd of ['2', '0', 'x', '']) expect(await spec(odd)).toMatchObject({ status: 404, code: 'FNS_404_VERSION' });
    await plane.call('PATCH', `/functions/${functionId}`, { scaling: { min: 2 } });
    expect(await spec()).toMatchObject({ key: (second as { key: string }).key, minSlots: 2 });
    expect(changes.at(-1)).toMatchObject({ functionId, slots: true });
    expect((await plane.catalog.keptWarm(await plane.catalog.standing())).map((each) => each.functionId)).toContain(functionId);
    await plane.call('DELETE', `/functions/${functionId}`);
    expect(await spec()).toBeUndefined();
    expect(changes.at(-1)).toEqual({ tenantId, functionId, slots: true });
  });

  it('says why nothing can run: no code, no such runtime here', async () => {
    const bare = await make({ code: undefined });
    const java = await make({ code: undefined, runtime: 'java21', handler: 'x' });
    const refusal = async (functionId: string) => plane.catalog.spec((await plane.catalog.find(tenantId, functionId as never))!, '$LATEST');
    expect(await refusal(bare.functionId)).toMatchObject({ status: 409, code: 'FNS_409_NO_CODE' });
    expect(await refusal(java.functionId)).toMatchObject({ status: 409, code: 'FNS_409_RUNTIME_NOT_HERE' });
    expect(await plane.catalog.find(asTenantId('rival'), bare.functionId as never)).toBeUndefined();
  });
});

describe('tenants, keys, quotas and audit over the API', () => {
  it('shows a key once, refuses it once it is over, deleted or rotated', async () => {
    const made = (await plane.call('POST', '/keys', { name: 'ci', role: 'viewer' })).json;
    const works = async (key: string) => (await plane.call('GET', '/functions', undefined, {}, key)).status;
    expect(await works(made.key)).toBe(200);
    expect((await plane.call('GET', '/keys?limit=1000')).text).not.toContain(made.key);
    const rotated = (await plane.call('POST', `/keys/${made.keyId}/rotate`, {})).json;
    expect([await works(made.key), await works(rotated.key)]).toEqual([401, 200]);
    const graced = (await plane.call('POST', `/keys/${rotated.keyId}/rotate`, { graceSec: 60 })).json;
    expect([await works(rotated.key), await works(graced.key)]).toEqual([200, 200]);
    expect((await plane.call('DELETE', `/keys/${graced.keyId}`)).status).toBe(204);
    expect(await works(graced.key)).toBe(401);
    expect((await plane.call('POST', '/keys', { name: 'late', role: 'viewer', expiresAt: '2020-01-01T00:00:00Z' })).status).toBe(422);
    const brief = (
      await plane.call('POST', '/keys', { name: 'brief', role: 'viewer', expiresAt: new Date(Date.now() + 150).toISOString() })
    ).json;
    expect(await works(brief.key)).toBe(200);
    while (Date.now() < Date.parse(brief.expiresAt)) await new Promise((done) => setTimeout(done, 10));
    expect(await works(brief.key)).toBe(401);
    expect((await plane.call('DELETE', '/keys/key_admin')).json.code).toBe('FNS_409_ADMIN_KEY');
  });

  it('suspends a tenant and takes it back, and never its own', async () => {
    const { ownerKey } = (await plane.call('POST', '/tenants', { tenantId: 'paused', quotas: { concurrency: 5 } })).json;
    const works = async () => (await plane.call('GET', '/quotas', undefined, {}, ownerKey.key)).status;
    expect(await works()).toBe(200);
    expect(plane.tenancy.quotas(asTenantId('paused')).concurrency).toBe(5);
    await plane.call('PATCH', '/tenants/paused', { state: 'SUSPENDED' });
    expect(await works()).toBe(403);
    await plane.call('PATCH', '/tenants/paused', { state: 'ACTIVE' });
    expect(await works()).toBe(200);
    expect((await plane.call('PATCH', '/tenants/default', { state: 'SUSPENDED' })).status).toBe(409);
    expect((await plane.call('POST', '/tenants', { tenantId: 'paused' })).json.code).toBe('FNS_409_EXISTS');
    for (const tenantId of ['', 'Caps', '-x', 'x-', 'a.b', 'x'.repeat(41)])
      expect((await plane.call('POST', '/tenants', { tenantId })).status).toBe(422);
  });

  it('sets quotas, at once known to the data path', async () => {
    expect((await plane.call('PUT', '/quotas', { concurrency: 42 })).json).toMatchObject({ concurrency: 42, backlogItems: 1_000_000 });
    expect(plane.tenancy.quotas(asTenantId('default')).concurrency).toBe(42);
    expect((await plane.call('PUT', '/quotas', { concurrency: -1 })).status).toBe(422);
    await plane.call('PUT', '/tenants/default/quotas', { concurrency: 100 });
    expect((await plane.call('GET', '/quotas')).json.concurrency).toBe(100);
  });

  it('refuses a second tenant where the machine cannot keep tenants apart', async () => {
    const plain = await controlPlane({ refuseTenants: 'functions here can read what the platform can (tier C)' });
    const r = await plain.call('POST', '/tenants', { tenantId: 'second' });
    expect([r.status, r.json.code]).toEqual([409, 'FNS_409_TIER']);
    expect(r.json.detail).toContain('tier C');
    await plain.close();
  });

  it('audits every change with what it was before and after, of secrets the names only', async () => {
    const { functionId } = await make({ env: { KEEP: 'same', TOKEN: 'hush-1' } });
    await plane.call('PATCH', `/functions/${functionId}`, { memoryMb: 256, env: { KEEP: 'same', TOKEN: 'hush-2' } });
    await plane.call('PATCH', `/functions/${functionId}`, { memoryMb: 256 });
    const { items } = (await plane.call('GET', '/audit?action=function.*&limit=1000')).json;
    const mine = items.filter((each: { target: string }) => each.target === functionId);
    expect(mine.map((each: { action: string }) => each.action)).toEqual(['function.update', 'function.create']);
    expect(mine[0]).toMatchObject({
      actor: 'key_admin',
      detail: { before: { memoryMb: 128, env: ['TOKEN'] }, after: { memoryMb: 256, env: ['TOKEN'] } },
    });
    const all = await plane.call('GET', '/audit', undefined, { accept: 'application/x-ndjson' });
    expect(all.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = all.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.length).toBeGreaterThan(items.length);
    expect(all.text).not.toMatch(/hush|the-admin-key/);
    for (const bad of ['action=x;y', 'from=yesterday', 'to=0']) expect((await plane.call('GET', `/audit?${bad}`)).status).toBe(422);
    expect((await plane.call('GET', '/audit', undefined, {}, ADMIN)).status).toBe(200);
  });
});
