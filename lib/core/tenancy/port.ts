import type { TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import type { ApiKey, Namespace, Quotas, Tenant } from './model.js';

export interface TenantChange {
  displayName?: string;
  state?: Tenant['state'];
  quotas?: Partial<Quotas>;
}

/** Whole steps over tenants, keys and namespaces. */
export interface TenancyStore {
  /** The tenant, its first key and its namespace `default`, or nothing. */
  createTenant(tenant: Tenant, key: ApiKey): Promise<'created' | 'exists'>;
  /** The tenant as it is after the change. */
  changeTenant(tenantId: TenantId, change: TenantChange): Promise<{ before: Tenant; after: Tenant } | undefined>;
  tenant(tenantId: TenantId): Promise<Tenant | undefined>;
  tenants(query: PageQuery): Promise<Page<Tenant>>;
  countTenants(): Promise<number>;

  createKey(key: ApiKey): Promise<void>;
  keyBySha256(sha256: string): Promise<ApiKey | undefined>;
  keys(tenantId: TenantId, query: PageQuery): Promise<Page<ApiKey>>;
  /** What was removed. */
  removeKey(tenantId: TenantId, keyId: string): Promise<ApiKey | undefined>;
  /** Adds `fresh` and ends the old key at `oldEndsAt` (or its own end, where that is earlier); the old key. */
  rotateKey(
    tenantId: TenantId,
    keyId: string,
    fresh: Pick<ApiKey, 'keyId' | 'sha256' | 'createdAt'>,
    oldEndsAt: number,
  ): Promise<{ old: ApiKey; fresh: ApiKey } | undefined>;

  createNamespace(namespace: Namespace): Promise<'created' | 'exists'>;
  hasNamespace(tenantId: TenantId, name: string): Promise<boolean>;
  namespaces(tenantId: TenantId, query: PageQuery): Promise<Page<Namespace>>;
  removeNamespace(tenantId: TenantId, name: string): Promise<'removed' | 'missing' | 'inUse'>;
}
