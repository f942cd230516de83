import type { TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import type { ApiKey, Namespace, Principal, Quotas, Role, Tenant } from './model.js';

/** Who stands behind a bearer key. */
export interface Authenticator {
  /** From memory, for the data path. Undefined: ask `authenticate`. */
  known(bearer: string): Principal | undefined;
  /** Undefined: no such key, or expired. */
  authenticate(bearer: string): Promise<Principal | undefined>;
}

export interface NewKey {
  name: string;
  role: Role;
  /** Epoch ms. */
  expiresAt?: number;
  /** Another tenant's key: platform admin only. */
  tenantId?: string;
}

/** The only time that a key's text is seen. */
export interface ShownKey {
  key: ApiKey;
  secret: string;
}

/** Tenants, their keys, namespaces and quotas. What a caller did wrong is thrown as Refusal; every change is audited. */
export interface Tenancy {
  createTenant(
    who: Principal,
    input: { tenantId: string; displayName?: string; quotas?: Partial<Quotas> },
  ): Promise<{ tenant: Tenant } & ShownKey>;
  tenants(query: PageQuery): Promise<Page<Tenant>>;
  tenant(tenantId: string): Promise<Tenant>;
  changeTenant(who: Principal, tenantId: string, change: { displayName?: string; state?: Tenant['state'] }): Promise<Tenant>;
  setQuotas(who: Principal, tenantId: string, quotas: Partial<Quotas>): Promise<Tenant>;
  /** From memory where it is known, for the data path; the defaults for a tenant that is not there. */
  quotas(tenantId: TenantId): Quotas;
  onQuotas(listener: (tenantId: TenantId) => void): void;

  createKey(who: Principal, input: NewKey): Promise<ShownKey>;
  keys(tenantId: TenantId, query: PageQuery): Promise<Page<ApiKey>>;
  removeKey(who: Principal, keyId: string): Promise<void>;
  /** A new key with the same name and role; the old one ends after `graceSec`. */
  rotateKey(who: Principal, keyId: string, graceSec: number): Promise<ShownKey>;

  createNamespace(who: Principal, name: string): Promise<Namespace>;
  namespaces(tenantId: TenantId, query: PageQuery): Promise<Page<Namespace>>;
  /** `default` always exists. */
  hasNamespace(tenantId: TenantId, name: string): Promise<boolean>;
  /** Refused while functions live in it. */
  removeNamespace(who: Principal, name: string): Promise<void>;
}
