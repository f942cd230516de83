import type { Concurrency } from '../functions/model.js';
import type { FunctionId, TenantId } from '../ids.js';

export type Admitted = 'ok' | 'tenant-limit' | 'function-limit';

interface FunctionLoad {
  running: number;
  reserved: number;
}

interface TenantLoad {
  /** Running beyond what each function has reserved. */
  shared: number;
  /** Sum of all reservations. */
  reserved: number;
  functions: Map<FunctionId, FunctionLoad>;
}

/**
 * Counts what runs now and says whether one more may. A function first uses what it has reserved, then the
 * tenant's shared rest: limit - sum of reservations. In memory: what runs is known to this process alone.
 */
export class Admission {
  private readonly tenants = new Map<TenantId, TenantLoad>();
  private readonly onFree: (tenantId: TenantId, functionId: FunctionId) => void;

  /** @param onFree called after each `leave`: somebody who waited may enter now. */
  constructor(
    private readonly limitOf: (tenantId: TenantId) => number,
    onFree: (tenantId: TenantId, functionId: FunctionId) => void = () => {},
  ) {
    this.onFree = onFree;
  }

  enter(tenantId: TenantId, functionId: FunctionId, concurrency: Concurrency): Admitted {
    const tenant = this.tenant(tenantId);
    const load = this.load(tenant, functionId);
    this.reserve(tenant, load, concurrency.reserved ?? 0);
    if (load.running >= (concurrency.max ?? Number.POSITIVE_INFINITY)) return 'function-limit';
    if (load.running >= load.reserved) {
      if (tenant.shared >= this.limitOf(tenantId) - tenant.reserved) return 'tenant-limit';
      tenant.shared += 1;
    }
    load.running += 1;
    return 'ok';
  }

  leave(tenantId: TenantId, functionId: FunctionId): void {
    const tenant = this.tenant(tenantId);
    const load = this.load(tenant, functionId);
    load.running -= 1;
    if (load.running >= load.reserved) tenant.shared -= 1;
    if (load.running === 0 && load.reserved === 0) tenant.functions.delete(functionId);
    this.onFree(tenantId, functionId);
  }

  /** Takes a reservation over when a function is made, changed or deleted (0). */
  setReserved(tenantId: TenantId, functionId: FunctionId, reserved: number): void {
    const tenant = this.tenant(tenantId);
    this.reserve(tenant, this.load(tenant, functionId), reserved);
  }

  /** What the tenant's other functions have not reserved of its limit. */
  reservable(tenantId: TenantId, functionId?: FunctionId): number {
    const tenant = this.tenants.get(tenantId);
    const own = functionId === undefined ? 0 : (tenant?.functions.get(functionId)?.reserved ?? 0);
    return Math.max(0, this.limitOf(tenantId) - (tenant?.reserved ?? 0) + own);
  }

  running(tenantId: TenantId, functionId: FunctionId): number {
    return this.tenants.get(tenantId)?.functions.get(functionId)?.running ?? 0;
  }

  private reserve(tenant: TenantLoad, load: FunctionLoad, reserved: number): void {
    if (load.reserved === reserved) return;
    tenant.shared -= Math.max(0, load.running - load.reserved);
    tenant.reserved += reserved - load.reserved;
    load.reserved = reserved;
    tenant.shared += Math.max(0, load.running - load.reserved);
  }

  private tenant(tenantId: TenantId): TenantLoad {
    let tenant = this.tenants.get(tenantId);
    if (!tenant) {
      tenant = { shared: 0, reserved: 0, functions: new Map() };
      this.tenants.set(tenantId, tenant);
    }
    return tenant;
  }

  private load(tenant: TenantLoad, functionId: FunctionId): FunctionLoad {
    let load = tenant.functions.get(functionId);
    if (!load) {
      load = { running: 0, reserved: 0 };
      tenant.functions.set(functionId, load);
    }
    return load;
  }
}
