import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../../../lib/core/clock.js';
import { asTenantId } from '../../../lib/core/ids.js';
import { type Principal, ROLES, type Role } from '../../../lib/core/tenancy/model.js';
import type { Services } from '../../../lib/http/services.js';

export const clock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
export const random: Random = { fraction: () => Math.random(), bytes: (count) => randomBytes(count) };

/** The key is the role's name; `admin` is owner and platform admin. */
export function principalOf(bearer: string): Principal | undefined {
  const tenantId = asTenantId('default');
  if (bearer === 'admin') return { tenantId, keyId: 'key_admin', role: 'owner', admin: true };
  return (ROLES as readonly string[]).includes(bearer)
    ? { tenantId, keyId: `key_${bearer}`, role: bearer as Role, admin: false }
    : undefined;
}

/** Services for a test of routes: what a test does not give is not there. */
export const servicesOf = (given: Partial<Services>): Services =>
  ({
    clock,
    random,
    authenticator: { known: principalOf, authenticate: async (bearer: string) => principalOf(bearer) },
    health: () => ({ ready: true, checks: {} }),
    onFault: (error: unknown) => {
      throw error;
    },
    ...given,
  }) as Services;
