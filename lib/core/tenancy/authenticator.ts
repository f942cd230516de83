import type { Clock } from '../clock.js';
import type { TenantId } from '../ids.js';
import type { ApiKey, Principal, Tenant } from './model.js';
import type { TenancyStore } from './port.js';
import type { Authenticator } from './service.js';

interface Known {
  sha256: string;
  principal: Principal;
  /** Epoch ms; the key's own end. */
  expiresAt: number;
  /** Epoch ms: looked up again after it. */
  freshUntil: number;
}

const HELD = 10_000;
const UNKNOWN_HELD = 1_000;
const FRESH_MS = 60_000;
/** A wrong key is not looked up again for this long; a key made meanwhile is told by `forget`. */
const UNKNOWN_MS = 5_000;

/** Keys as the border needs them: from memory on the data path, by digest alone. */
export class KeyRing implements Authenticator {
  private readonly held = new Map<string, Known>();
  private readonly unknown = new Map<string, number>();

  /** @param digest sha256 as hex */
  constructor(
    private readonly store: Pick<TenancyStore, 'keyBySha256' | 'tenant'>,
    private readonly digest: (bearer: string) => string,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  known(bearer: string): Principal | undefined {
    return this.fromMemory(this.digest(bearer));
  }

  async authenticate(bearer: string): Promise<Principal | undefined> {
    const sha256 = this.digest(bearer);
    const held = this.fromMemory(sha256);
    if (held) return held;
    const now = this.clock.now();
    if ((this.unknown.get(sha256) ?? 0) > now) return undefined;
    const key = await this.store.keyBySha256(sha256);
    const tenant = key && sameText(key.sha256, sha256) ? await this.store.tenant(key.tenantId) : undefined;
    if (!key || !tenant || (key.expiresAt ?? Number.POSITIVE_INFINITY) <= this.clock.now()) {
      remember(this.unknown, sha256, now + UNKNOWN_MS, UNKNOWN_HELD);
      return undefined;
    }
    const principal = principalOf(key, tenant);
    remember(
      this.held,
      sha256,
      { sha256, principal, expiresAt: key.expiresAt ?? Number.POSITIVE_INFINITY, freshUntil: now + FRESH_MS },
      HELD,
    );
    return principal;
  }

  /** A key was made, removed or given another end. */
  forget(sha256: string): void {
    this.held.delete(sha256);
    this.unknown.delete(sha256);
  }

  /** A tenant was suspended or is active again. */
  forgetTenant(tenantId: TenantId): void {
    for (const [sha256, { principal }] of this.held) if (principal.tenantId === tenantId) this.held.delete(sha256);
  }

  private fromMemory(sha256: string): Principal | undefined {
    const held = this.held.get(sha256);
    if (!held || !sameText(held.sha256, sha256)) return undefined;
    const now = this.clock.now();
    return now < held.expiresAt && now < held.freshUntil ? held.principal : undefined;
  }
}

function principalOf(key: ApiKey, tenant: Tenant): Principal {
  const { tenantId, keyId, role, admin } = key;
  return tenant.state === 'SUSPENDED' ? { tenantId, keyId, role, admin, suspended: true } : { tenantId, keyId, role, admin };
}

/** Takes the same time wherever two texts of one length differ. */
function sameText(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i += 1) difference |= a.charCodeAt(i) ^ b.charCodeAt(i % b.length);
  return difference === 0;
}

/** The oldest goes when there are too many: an attacker's wrong keys cannot fill the memory. */
function remember<V>(map: Map<string, V>, key: string, value: V, limit: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
