import { asTenantId } from '../../../lib/core/ids.js';
import type { ApiKey, Tenant } from '../../../lib/core/tenancy/model.js';
import type { TenancyStore } from '../../../lib/core/tenancy/port.js';
import { DEFAULT_QUOTAS } from '../../../lib/core/tenancy/quotas.js';

let made = 0;
export const tenantRecord = (id: string): Tenant => ({
  tenantId: asTenantId(id),
  displayName: id,
  quotas: { ...DEFAULT_QUOTAS },
  state: 'ACTIVE',
  createdAt: 1,
});
export function keyRecord(tenantId: string, over: Partial<ApiKey> = {}): ApiKey {
  made += 1;
  const sha256 = made.toString(16).padStart(64, '0');
  return {
    keyId: `key_${made}`,
    tenantId: asTenantId(tenantId),
    name: 'k',
    role: 'developer',
    admin: false,
    sha256,
    createdAt: made,
    ...over,
  };
}

/** Every adapter of TenancyStore is held to this. */
export function tenancyStoreContract(name: string, make: () => Promise<{ store: TenancyStore; close(): Promise<void> }>): void {
  describe(`TenancyStore: ${name}`, () => {
    let store: TenancyStore;
    let close: () => Promise<void>;
    const acme = asTenantId('acme');
    beforeAll(async () => {
      ({ store, close } = await make());
      await store.createTenant(tenantRecord('acme'), keyRecord('acme', { role: 'owner' }));
    });
    afterAll(() => close());

    it('creates a tenant with its key and its default namespace, once', async () => {
      const key = keyRecord('beta', { role: 'owner' });
      expect(await store.createTenant(tenantRecord('beta'), key)).toBe('created');
      expect(await store.createTenant(tenantRecord('beta'), keyRecord('beta'))).toBe('exists');
      expect(await store.tenant(asTenantId('beta'))).toEqual(tenantRecord('beta'));
      expect(await store.keyBySha256(key.sha256)).toEqual(key);
      expect(await store.hasNamespace(asTenantId('beta'), 'default')).toBe(true);
      expect(await store.countTenants()).toBe(2);
    });

    it('changes what is named and leaves the rest', async () => {
      const done = await store.changeTenant(acme, { quotas: { concurrency: 7 } });
      expect(done?.before.quotas.concurrency).toBe(100);
      expect(done?.after).toEqual({ ...tenantRecord('acme'), quotas: { ...DEFAULT_QUOTAS, concurrency: 7 } });
      expect((await store.changeTenant(acme, { state: 'SUSPENDED' }))?.after).toMatchObject({
        state: 'SUSPENDED',
        quotas: { concurrency: 7 },
      });
      expect(await store.changeTenant(asTenantId('nobody'), {})).toBeUndefined();
    });

    it('lists tenants, keys and namespaces page by page', async () => {
      for (const id of ['c1', 'c2', 'c3']) await store.createTenant(tenantRecord(id), keyRecord(id));
      const pages: string[] = [];
      for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
        const page = await store.tenants({ limit: 2, cursor });
        pages.push(...page.items.map((each) => each.tenantId));
        cursor = page.nextCursor;
      }
      expect(pages).toEqual([...new Set(pages)].sort());
      for (const label of ['b', 'a']) await store.createNamespace({ tenantId: acme, name: label, createdAt: 3 });
      expect((await store.namespaces(acme, { limit: 10 })).items.map((each) => each.name)).toEqual(['a', 'b', 'default']);
      const first = await store.namespaces(acme, { limit: 2 });
      expect((await store.namespaces(acme, { limit: 2, cursor: first.nextCursor })).items.map((each) => each.name)).toEqual(['default']);
      expect((await store.keys(acme, { limit: 10 })).items.every((each) => each.tenantId === acme)).toBe(true);
    });

    it('removes a key of its own tenant alone', async () => {
      const key = keyRecord('acme');
      await store.createKey(key);
      expect(await store.removeKey(asTenantId('beta'), key.keyId)).toBeUndefined();
      expect(await store.removeKey(acme, key.keyId)).toEqual(key);
      expect(await store.keyBySha256(key.sha256)).toBeUndefined();
    });

    it('rotates a key: the new one is there, the old one has an end', async () => {
      const key = keyRecord('acme', { expiresAt: 5000 });
      await store.createKey(key);
      const fresh = { keyId: 'key_fresh', sha256: 'f'.repeat(64), createdAt: 1234 };
      const done = await store.rotateKey(acme, key.keyId, fresh, 9999);
      expect(done?.old.expiresAt).toBe(5000);
      expect(await store.keyBySha256(fresh.sha256)).toEqual({ ...key, ...fresh });
      expect(
        (await store.rotateKey(acme, 'key_fresh', { keyId: 'key_f2', sha256: 'e'.repeat(64), createdAt: 1 }, 2000))?.old.expiresAt,
      ).toBe(2000);
      expect(await store.rotateKey(acme, 'key_none', { keyId: 'x', sha256: 'd'.repeat(64), createdAt: 1 }, 1)).toBeUndefined();
    });

    it('removes a namespace once', async () => {
      await store.createNamespace({ tenantId: acme, name: 'short-lived', createdAt: 3 });
      expect(await store.createNamespace({ tenantId: acme, name: 'short-lived', createdAt: 4 })).toBe('exists');
      expect(await store.removeNamespace(acme, 'short-lived')).toBe('removed');
      expect(await store.removeNamespace(acme, 'short-lived')).toBe('missing');
    });
  });
}
