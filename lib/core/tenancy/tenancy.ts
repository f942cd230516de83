import { differences } from '../audit/changes.js';
import type { AuditLog } from '../audit/model.js';
import type { Clock, Random } from '../clock.js';
import { asTenantId, type TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import { invalidField, notFound, Refusal } from '../refusal.js';
import type { KeyRing } from './authenticator.js';
import { ADMIN_KEY_ID, newKeyId, newSecret } from './keys.js';
import { type ApiKey, may, type Namespace, type Principal, type Quotas, type Tenant } from './model.js';
import type { TenancyStore, TenantChange } from './port.js';
import { checkedQuotas, DEFAULT_QUOTAS } from './quotas.js';
import type { NewKey, ShownKey, Tenancy } from './service.js';

export interface TenancyParts {
  store: TenancyStore;
  keyRing: Pick<KeyRing, 'forget' | 'forgetTenant'>;
  /** sha256 as hex. */
  digest(secret: string): string;
  /** Where functions could read what the platform can, a second tenant is refused: why it may not be, or undefined. */
  secondTenantRefused(): string | undefined;
  audit: AuditLog;
  clock: Clock;
  random: Random;
}

const DEFAULT_NAMESPACE = 'default';

export class TenancyCases implements Tenancy {
  /** Every tenant's quotas: the data path asks without waiting. */
  private readonly known = new Map<TenantId, Quotas>();
  private readonly listeners: ((tenantId: TenantId) => void)[] = [];

  constructor(private readonly parts: TenancyParts) {}

  /** Reads all tenants' quotas into memory: before the data path opens. */
  async start(): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.parts.store.tenants({ limit: 1000, cursor });
      for (const { tenantId, quotas } of page.items) this.known.set(tenantId, quotas);
      cursor = page.nextCursor;
    } while (cursor);
  }

  async createTenant(
    who: Principal,
    input: { tenantId: string; displayName?: string; quotas?: Partial<Quotas> },
  ): Promise<{ tenant: Tenant } & ShownKey> {
    const why = this.parts.secondTenantRefused();
    if (why !== undefined) throw new Refusal(409, 'FNS_409_TIER', `A second tenant is refused on this machine: ${why}`);
    if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(input.tenantId)) {
      throw invalidField(
        'tenantId',
        'is a label of the tenant’s host name',
        '1 to 40 of a-z, 0-9 and -, beginning and ending with a letter or digit',
      );
    }
    const now = this.parts.clock.now();
    const tenant: Tenant = {
      tenantId: asTenantId(input.tenantId),
      displayName: input.displayName ?? input.tenantId,
      quotas: { ...DEFAULT_QUOTAS, ...checkedQuotas(input.quotas ?? {}) },
      state: 'ACTIVE',
      createdAt: now,
    };
    const { key, secret } = this.newKey({ name: 'owner', role: 'owner' }, tenant.tenantId);
    if ((await this.parts.store.createTenant(tenant, key)) === 'exists') {
      throw new Refusal(409, 'FNS_409_EXISTS', `There is a tenant '${tenant.tenantId}' already.`);
    }
    this.learn(tenant);
    await this.audit(who, tenant.tenantId, 'tenant.create', tenant.tenantId, { displayName: tenant.displayName, quotas: tenant.quotas });
    return { tenant, key, secret };
  }

  tenants(query: PageQuery): Promise<Page<Tenant>> {
    return this.parts.store.tenants(query);
  }

  async tenant(tenantId: string): Promise<Tenant> {
    const found = await this.parts.store.tenant(asTenantId(tenantId));
    if (!found) throw notFound('tenant', tenantId);
    return found;
  }

  changeTenant(who: Principal, tenantId: string, change: { displayName?: string; state?: Tenant['state'] }): Promise<Tenant> {
    if (change.state === 'SUSPENDED' && tenantId === who.tenantId) {
      throw new Refusal(409, 'FNS_409_OWN_TENANT', 'The platform admin’s own tenant cannot be suspended: nobody could take it back.');
    }
    return this.change(who, tenantId, 'tenant.update', change);
  }

  setQuotas(who: Principal, tenantId: string, quotas: Partial<Quotas>): Promise<Tenant> {
    return this.change(who, tenantId, 'quota.update', { quotas: checkedQuotas(quotas) });
  }

  quotas(tenantId: TenantId): Quotas {
    return this.known.get(tenantId) ?? DEFAULT_QUOTAS;
  }

  onQuotas(listener: (tenantId: TenantId) => void): void {
    this.listeners.push(listener);
  }

  async createKey(who: Principal, input: NewKey): Promise<ShownKey> {
    if (input.tenantId !== undefined && input.tenantId !== who.tenantId && !may(who, 'admin')) {
      throw new Refusal(403, 'FNS_403_FORBIDDEN', 'Only the platform admin may make keys of another tenant.');
    }
    if (input.expiresAt !== undefined && input.expiresAt <= this.parts.clock.now())
      throw invalidField('expiresAt', 'is over already', 'a time to come');
    const tenant = await this.tenant(input.tenantId ?? who.tenantId);
    const shown = this.newKey(input, tenant.tenantId);
    await this.parts.store.createKey(shown.key);
    this.parts.keyRing.forget(shown.key.sha256);
    const { keyId, name, role } = shown.key;
    await this.audit(who, tenant.tenantId, 'key.create', keyId, { name, role });
    return shown;
  }

  keys(tenantId: TenantId, query: PageQuery): Promise<Page<ApiKey>> {
    return this.parts.store.keys(tenantId, query);
  }

  async removeKey(who: Principal, keyId: string): Promise<void> {
    if (keyId === ADMIN_KEY_ID) throw adminKey();
    const gone = await this.parts.store.removeKey(who.tenantId, keyId);
    if (!gone) throw notFound('key', keyId);
    this.parts.keyRing.forget(gone.sha256);
    await this.audit(who, who.tenantId, 'key.delete', keyId, { name: gone.name, role: gone.role });
  }

  async rotateKey(who: Principal, keyId: string, graceSec: number): Promise<ShownKey> {
    if (keyId === ADMIN_KEY_ID) throw adminKey();
    const secret = newSecret(this.parts.random);
    const now = this.parts.clock.now();
    const fresh = { keyId: newKeyId(this.parts.random), sha256: this.parts.digest(secret), createdAt: now };
    const rotated = await this.parts.store.rotateKey(who.tenantId, keyId, fresh, now + graceSec * 1000);
    if (!rotated) throw notFound('key', keyId);
    this.parts.keyRing.forget(rotated.old.sha256);
    this.parts.keyRing.forget(fresh.sha256);
    await this.audit(who, who.tenantId, 'key.rotate', keyId, { freshKeyId: fresh.keyId, graceSec });
    return { key: rotated.fresh, secret };
  }

  async createNamespace(who: Principal, name: string): Promise<Namespace> {
    const namespace: Namespace = { tenantId: who.tenantId, name, createdAt: this.parts.clock.now() };
    if ((await this.parts.store.createNamespace(namespace)) === 'exists') {
      throw new Refusal(409, 'FNS_409_EXISTS', `There is a namespace '${name}' already.`);
    }
    await this.audit(who, who.tenantId, 'namespace.create', name);
    return namespace;
  }

  namespaces(tenantId: TenantId, query: PageQuery): Promise<Page<Namespace>> {
    return this.parts.store.namespaces(tenantId, query);
  }

  async hasNamespace(tenantId: TenantId, name: string): Promise<boolean> {
    return name === DEFAULT_NAMESPACE || this.parts.store.hasNamespace(tenantId, name);
  }

  async removeNamespace(who: Principal, name: string): Promise<void> {
    if (name === DEFAULT_NAMESPACE) throw new Refusal(409, 'FNS_409_DEFAULT_NAMESPACE', 'The namespace `default` always exists.');
    const done = await this.parts.store.removeNamespace(who.tenantId, name);
    if (done === 'missing') throw notFound('namespace', name);
    if (done === 'inUse')
      throw new Refusal(
        409,
        'FNS_409_NOT_EMPTY',
        `Functions live in namespace '${name}'; delete them first (GET /functions?namespace=${name}).`,
      );
    await this.audit(who, who.tenantId, 'namespace.delete', name);
  }

  private async change(who: Principal, tenantId: string, action: string, change: TenantChange): Promise<Tenant> {
    const done = await this.parts.store.changeTenant(asTenantId(tenantId), change);
    if (!done) throw notFound('tenant', tenantId);
    this.learn(done.after);
    this.parts.keyRing.forgetTenant(done.after.tenantId);
    await this.audit(who, done.after.tenantId, action, tenantId, { ...differences(done.before, done.after) });
    return done.after;
  }

  private learn({ tenantId, quotas }: Tenant): void {
    this.known.set(tenantId, quotas);
    for (const listener of this.listeners) listener(tenantId);
  }

  private newKey({ name, role, expiresAt }: NewKey, tenantId: TenantId): ShownKey {
    const secret = newSecret(this.parts.random);
    const sha256 = this.parts.digest(secret);
    return {
      secret,
      key: { keyId: newKeyId(this.parts.random), tenantId, name, role, admin: false, sha256, createdAt: this.parts.clock.now(), expiresAt },
    };
  }

  /** Into the log of the tenant that it happened to, whoever did it. */
  private audit(who: Principal, tenantId: TenantId, action: string, target: string, detail?: Record<string, unknown>): Promise<void> {
    return this.parts.audit.append({ at: this.parts.clock.now(), tenantId, actor: who.keyId, action, target, detail });
  }
}

const adminKey = (): Refusal =>
  new Refusal(409, 'FNS_409_ADMIN_KEY', 'This is the platform admin’s own key: set another with FNS_ADMIN_KEY and start FNS again.');
