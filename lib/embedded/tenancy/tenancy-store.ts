import type { TenantId } from '../../core/ids.js';
import { cursorKey, cursorOf, type Page, type PageQuery } from '../../core/page.js';
import type { ApiKey, Namespace, Tenant } from '../../core/tenancy/model.js';
import type { TenancyStore, TenantChange } from '../../core/tenancy/port.js';
import type { Database } from '../store/database.js';

export class EmbeddedTenancyStore implements TenancyStore {
  constructor(private readonly database: Database) {}

  createTenant(tenant: Tenant, key: ApiKey): Promise<'created' | 'exists'> {
    return this.database.write('tenancy.createTenant', { tenant, key });
  }

  /** Run at every start: the first tenant is there, and the platform admin's key is the one given this time. */
  async bootstrap(tenant: Tenant, key: ApiKey): Promise<void> {
    await this.database.write('tenancy.bootstrap', { tenant, key });
  }

  changeTenant(tenantId: TenantId, change: TenantChange): Promise<{ before: Tenant; after: Tenant } | undefined> {
    return this.database.write('tenancy.changeTenant', { tenantId, change });
  }

  tenant(tenantId: TenantId): Promise<Tenant | undefined> {
    return this.database.read('tenancy.tenant', { tenantId });
  }

  async tenants(query: PageQuery): Promise<Page<Tenant>> {
    const after = cursorKey(query.cursor, ['text'] as const)?.[0];
    const found = await this.database.read('tenancy.tenants', { after, limit: query.limit + 1 });
    return pageOf(found, query.limit, (last) => cursorOf(last.tenantId));
  }

  countTenants(): Promise<number> {
    return this.database.read('tenancy.countTenants', {});
  }

  async createKey(key: ApiKey): Promise<void> {
    await this.database.write('tenancy.createKey', key);
  }

  keyBySha256(sha256: string): Promise<ApiKey | undefined> {
    return this.database.read('tenancy.keyBySha256', { sha256 });
  }

  async keys(tenantId: TenantId, query: PageQuery): Promise<Page<ApiKey>> {
    const after = cursorKey(query.cursor, ['number', 'text'] as const);
    const found = await this.database.read('tenancy.keys', { tenantId, after, limit: query.limit + 1 });
    return pageOf(found, query.limit, (last) => cursorOf(last.createdAt, last.keyId));
  }

  removeKey(tenantId: TenantId, keyId: string): Promise<ApiKey | undefined> {
    return this.database.write('tenancy.removeKey', { tenantId, keyId });
  }

  rotateKey(
    tenantId: TenantId,
    keyId: string,
    fresh: Pick<ApiKey, 'keyId' | 'sha256' | 'createdAt'>,
    oldEndsAt: number,
  ): Promise<{ old: ApiKey; fresh: ApiKey } | undefined> {
    return this.database.write('tenancy.rotateKey', { tenantId, keyId, fresh, oldEndsAt });
  }

  createNamespace(namespace: Namespace): Promise<'created' | 'exists'> {
    return this.database.write('tenancy.createNamespace', namespace);
  }

  hasNamespace(tenantId: TenantId, name: string): Promise<boolean> {
    return this.database.read('tenancy.hasNamespace', { tenantId, name });
  }

  async namespaces(tenantId: TenantId, query: PageQuery): Promise<Page<Namespace>> {
    const after = cursorKey(query.cursor, ['text'] as const)?.[0];
    const found = await this.database.read('tenancy.namespaces', { tenantId, after, limit: query.limit + 1 });
    return pageOf(found, query.limit, (last) => cursorOf(last.name));
  }

  removeNamespace(tenantId: TenantId, name: string): Promise<'removed' | 'missing' | 'inUse'> {
    return this.database.write('tenancy.removeNamespace', { tenantId, name });
  }
}

/** One more than the limit was asked for: it tells whether there is a next page. */
function pageOf<T>(found: T[], limit: number, cursor: (last: T) => string): Page<T> {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: found.length > limit && last !== undefined ? cursor(last) : undefined };
}
