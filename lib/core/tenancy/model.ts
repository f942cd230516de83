import type { TenantId } from '../ids.js';

export const ROLES = ['owner', 'developer', 'invoker', 'viewer', 'billing'] as const;
export type Role = (typeof ROLES)[number];

/** Who calls, as far as the rest of the platform needs to know. */
export interface Principal {
  tenantId: TenantId;
  keyId: string;
  role: Role;
  /** Platform admin: may act on tenants, price plan and prewarm. */
  admin: boolean;
  /** The tenant is suspended: everything is refused with 403 until it is active again. */
  suspended?: boolean;
}

/** What a role may do. `use` is to call functions; `change` to create, update and delete them. */
export type Action = 'read' | 'use' | 'change' | 'bill' | 'own' | 'admin';

const ALLOWED: Record<Role, readonly Action[]> = {
  owner: ['read', 'use', 'change', 'bill', 'own'],
  developer: ['read', 'use', 'change'],
  invoker: ['use'],
  viewer: ['read'],
  billing: ['bill'],
};

export const may = (who: Principal, action: Action): boolean => (action === 'admin' ? who.admin : ALLOWED[who.role].includes(action));

export interface Quotas {
  /** Invocations running at once. */
  concurrency: number;
  /** Accepted and not yet run. */
  backlogItems: number;
  backlogBytes: number;
}

export interface Tenant {
  tenantId: TenantId;
  displayName: string;
  quotas: Quotas;
  state: 'ACTIVE' | 'SUSPENDED';
  createdAt: number;
}

export interface Namespace {
  tenantId: TenantId;
  name: string;
  createdAt: number;
}

/** A key is shown once; only its sha256 is kept. */
export interface ApiKey {
  keyId: string;
  tenantId: TenantId;
  name: string;
  role: Role;
  admin: boolean;
  sha256: string;
  createdAt: number;
  expiresAt?: number;
}
