import { createHash } from 'node:crypto';
import { asTenantId } from '../../../lib/core/ids.js';
import { KeyRing } from '../../../lib/core/tenancy/authenticator.js';
import type { ApiKey, Tenant } from '../../../lib/core/tenancy/model.js';

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

function ring() {
  const keys = new Map<string, ApiKey>();
  const tenants = new Map<string, Tenant>();
  let now = 1_000_000;
  let reads = 0;
  const store = {
    keyBySha256: async (sha256: string) => {
      reads += 1;
      return keys.get(sha256);
    },
    tenant: async (tenantId: string) => tenants.get(tenantId),
  };
  const add = (secret: string, over: Partial<ApiKey> = {}): ApiKey => {
    const key: ApiKey = {
      keyId: `key_${secret}`,
      tenantId: asTenantId('acme'),
      name: '',
      role: 'developer',
      admin: false,
      sha256: digest(secret),
      createdAt: 0,
      ...over,
    };
    keys.set(key.sha256, key);
    tenants.set(key.tenantId, {
      tenantId: key.tenantId,
      displayName: '',
      state: 'ACTIVE',
      quotas: { concurrency: 1, backlogItems: 1, backlogBytes: 1 },
      createdAt: 0,
    });
    return key;
  };
  return {
    ring: new KeyRing(store, digest, { now: () => now }),
    add,
    keys,
    tenants,
    reads: () => reads,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('the key ring', () => {
  it('knows a key from memory after the first time', async () => {
    const t = ring();
    t.add('one');
    expect(t.ring.known('one')).toBeUndefined();
    const who = await t.ring.authenticate('one');
    expect(who).toEqual({ tenantId: 'acme', keyId: 'key_one', role: 'developer', admin: false });
    expect(t.ring.known('one')).toBe(who);
    await t.ring.authenticate('one');
    expect(t.reads()).toBe(1);
  });

  it('tests the expiry at use, also of a key that it knows', async () => {
    const t = ring();
    t.add('brief', { expiresAt: 1_000_500 });
    expect(await t.ring.authenticate('brief')).toBeDefined();
    t.pass(499);
    expect(t.ring.known('brief')).toBeDefined();
    t.pass(1);
    expect(t.ring.known('brief')).toBeUndefined();
    expect(await t.ring.authenticate('brief')).toBeUndefined();
  });

  it('does not ask again for a wrong key within seconds, and takes one that is made meanwhile', async () => {
    const t = ring();
    for (let i = 0; i < 10; i += 1) expect(await t.ring.authenticate('wrong')).toBeUndefined();
    expect(t.reads()).toBe(1);
    const key = t.add('wrong');
    t.ring.forget(key.sha256);
    expect(await t.ring.authenticate('wrong')).toBeDefined();
  });

  it('holds a bounded number of wrong keys', async () => {
    const t = ring();
    for (let i = 0; i < 5000; i += 1) await t.ring.authenticate(`wrong-${i}`);
    expect((t.ring as unknown as { unknown: Map<string, number> }).unknown.size).toBeLessThanOrEqual(1000);
  });

  it('forgets a removed key at once, and looks a known one up again after a minute', async () => {
    const t = ring();
    const key = t.add('one');
    await t.ring.authenticate('one');
    t.keys.delete(key.sha256);
    t.pass(60_001);
    expect(await t.ring.authenticate('one')).toBeUndefined();
    const other = t.add('two');
    await t.ring.authenticate('two');
    t.keys.delete(other.sha256);
    t.ring.forget(other.sha256);
    expect(await t.ring.authenticate('two')).toBeUndefined();
  });

  it('marks who belongs to a suspended tenant', async () => {
    const t = ring();
    t.add('one');
    await t.ring.authenticate('one');
    t.tenants.set('acme', { ...t.tenants.get('acme')!, state: 'SUSPENDED' });
    t.ring.forgetTenant(asTenantId('acme'));
    expect(t.ring.known('one')).toBeUndefined();
    expect(await t.ring.authenticate('one')).toMatchObject({ suspended: true });
  });
});
