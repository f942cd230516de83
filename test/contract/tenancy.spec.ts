import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { asTenantId } from '../../lib/core/ids.js';
import { KeyRing } from '../../lib/core/tenancy/authenticator.js';
import { EmbeddedAudit } from '../../lib/embedded/audit/audit-store.js';
import { EmbeddedFunctionStore } from '../../lib/embedded/functions/function-store.js';
import { bootstrapTenancy, sha256Hex } from '../../lib/embedded/tenancy/bootstrap.js';
import { LocalSealer, masterKey } from '../../lib/embedded/tenancy/sealer.js';
import { EmbeddedTenancyStore } from '../../lib/embedded/tenancy/tenancy-store.js';
import { embeddedStore } from './embedded.js';
import { functionRecord } from './ports/functions.js';
import { tenancyStoreContract } from './ports/tenancy.js';

tenancyStoreContract('embedded', async () => {
  const { database, close } = await embeddedStore();
  return { store: new EmbeddedTenancyStore(database), close };
});

describe('the first start', () => {
  it('makes an admin key once, keeps it readable by its owner alone, and takes a given one in its place', async () => {
    const { database, dataDir, close } = await embeddedStore();
    const store = new EmbeddedTenancyStore(database);
    const ring = () => new KeyRing(store, sha256Hex, { now: () => 1000 });
    const first = await bootstrapTenancy(store, { dataDir, now: 1 });
    expect(first.made).toBe(true);
    expect(await ring().authenticate(first.key)).toEqual({ tenantId: 'default', keyId: 'key_admin', role: 'owner', admin: true });
    const file = join(dataDir, 'credentials.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(file, 'utf8')).key).toBe(first.key);
    expect(await bootstrapTenancy(store, { dataDir, now: 2 })).toMatchObject({ key: first.key, made: false });
    const given = 'given-admin-key-0123456789';
    expect(await bootstrapTenancy(store, { dataDir, now: 3, adminKey: given })).toMatchObject({ key: given, made: false });
    expect(await ring().authenticate(first.key)).toBeUndefined();
    expect((await ring().authenticate(given))?.admin).toBe(true);
    await expect(bootstrapTenancy(store, { dataDir, now: 4, adminKey: 'short' })).rejects.toThrow('FNS_ADMIN_KEY');
    expect(readFileSync(join(dataDir, 'fns.db-wal')).toString('latin1')).not.toContain(given);
    await close();
  });
});

describe('a namespace', () => {
  it('is not removed while a function lives in it', async () => {
    const { database, dataDir, close } = await embeddedStore();
    const tenancy = new EmbeddedTenancyStore(database);
    const functions = new EmbeddedFunctionStore(database, new LocalSealer(database, masterKey(dataDir)));
    const tenantId = asTenantId('acme');
    await tenancy.createNamespace({ tenantId, name: 'shop', createdAt: 1 });
    const fn = functionRecord({ namespace: 'shop' });
    await functions.create(fn);
    expect(await tenancy.removeNamespace(tenantId, 'shop')).toBe('inUse');
    await functions.remove(tenantId, fn.functionId);
    expect(await tenancy.removeNamespace(tenantId, 'shop')).toBe('removed');
    await close();
  });
});

describe('the audit log', () => {
  const acme = asTenantId('acme');
  const entry = (at: number, action: string, tenantId = acme) => ({ at, tenantId, actor: 'key_1', action, target: 't', detail: { n: at } });

  it('is listed newest first, by time and action, of the own tenant alone', async () => {
    const { database, close } = await embeddedStore();
    const audit = new EmbeddedAudit(database);
    for (const [at, action] of [
      [1, 'function.create'],
      [2, 'function.update'],
      [2, 'key.create'],
      [3, 'function.delete'],
    ] as const)
      await audit.append(entry(at, action));
    await audit.append(entry(2, 'function.create', asTenantId('rival')));
    const list = async (filter: object) =>
      (await audit.list({ tenantId: acme, limit: 10, ...filter })).items.map((each) => `${each.at} ${each.action}`);
    expect(await list({})).toEqual(['3 function.delete', '2 key.create', '2 function.update', '1 function.create']);
    expect(await list({ fromMs: 2, toMs: 3 })).toEqual(['2 key.create', '2 function.update']);
    expect(await list({ action: 'function.*' })).toEqual(['3 function.delete', '2 function.update', '1 function.create']);
    expect(await list({ action: 'key.create' })).toEqual(['2 key.create']);
    const pages: number[] = [];
    for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
      const page = await audit.list({ tenantId: acme, limit: 1, cursor });
      pages.push(...page.items.map((each) => each.at));
      cursor = page.nextCursor;
    }
    expect(pages).toEqual([3, 2, 2, 1]);
    await close();
  });

  it('lets nothing go before its 180 days are over', async () => {
    const { database, close } = await embeddedStore();
    const audit = new EmbeddedAudit(database);
    const now = Date.now();
    const day = 24 * 3600 * 1000;
    await audit.append(entry(now - 181 * day, 'function.create'));
    await audit.append(entry(now - 179 * day, 'function.update'));
    expect(await audit.expire(now)).toBe(1);
    expect((await audit.list({ tenantId: acme, limit: 10 })).items.map((each) => each.action)).toEqual(['function.update']);
    await expect(audit.expire(now + 100 * day)).rejects.toThrow('180 days');
    await close();
  });
});
