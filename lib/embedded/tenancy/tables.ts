import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { ApiKey, Namespace, Tenant } from '../../core/tenancy/model.js';
import type { TenantChange } from '../../core/tenancy/port.js';
import type { Concern } from '../store/concern.js';

const schema = `
CREATE TABLE IF NOT EXISTS tenants (
  tenant_id TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_keys (
  key_id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  sha256 TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS api_keys_by_tenant ON api_keys (tenant_id, created_at, key_id);
CREATE TABLE IF NOT EXISTS namespaces (
  tenant_id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tenant_data_keys (
  tenant_id TEXT PRIMARY KEY,
  wrapped TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`;

type Db = DatabaseSyncInstance;
const bodyOf = <T>(row: unknown): T | undefined => (row ? (JSON.parse((row as { body: string }).body) as T) : undefined);
const bodiesOf = <T>(rows: unknown[]): T[] => rows.map((row) => JSON.parse((row as { body: string }).body) as T);

const tenantOf = (db: Db, tenantId: string): Tenant | undefined =>
  bodyOf(db.prepare('SELECT body FROM tenants WHERE tenant_id = ?').get(tenantId));
const keyOf = (db: Db, tenantId: string, keyId: string): ApiKey | undefined =>
  bodyOf(db.prepare('SELECT body FROM api_keys WHERE tenant_id = ? AND key_id = ?').get(tenantId, keyId));

function insertKey(db: Db, key: ApiKey): void {
  db.prepare('INSERT INTO api_keys VALUES (?, ?, ?, ?, ?)').run(key.keyId, key.tenantId, key.sha256, key.createdAt, JSON.stringify(key));
}

function insertTenant(db: Db, tenant: Tenant): boolean {
  const done = db
    .prepare('INSERT INTO tenants VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
    .run(tenant.tenantId, tenant.createdAt, JSON.stringify(tenant));
  if (Number(done.changes) === 0) return false;
  db.prepare('INSERT INTO namespaces VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(tenant.tenantId, 'default', tenant.createdAt);
  return true;
}

function createTenant(db: Db, { tenant, key }: { tenant: Tenant; key: ApiKey }): 'created' | 'exists' {
  if (!insertTenant(db, tenant)) return 'exists';
  insertKey(db, key);
  return 'created';
}

/** The first tenant and the platform admin's key: there after every start, the key as given this time. */
function bootstrap(db: Db, { tenant, key }: { tenant: Tenant; key: ApiKey }): void {
  insertTenant(db, tenant);
  db.prepare('DELETE FROM api_keys WHERE key_id = ? OR sha256 = ?').run(key.keyId, key.sha256);
  insertKey(db, key);
}

function changeTenant(
  db: Db,
  { tenantId, change }: { tenantId: string; change: TenantChange },
): { before: Tenant; after: Tenant } | undefined {
  const before = tenantOf(db, tenantId);
  if (!before) return undefined;
  const after: Tenant = {
    ...before,
    displayName: change.displayName ?? before.displayName,
    state: change.state ?? before.state,
    quotas: { ...before.quotas, ...change.quotas },
  };
  db.prepare('UPDATE tenants SET body = ? WHERE tenant_id = ?').run(JSON.stringify(after), tenantId);
  return { before, after };
}

function removeKey(db: Db, { tenantId, keyId }: { tenantId: string; keyId: string }): ApiKey | undefined {
  const key = keyOf(db, tenantId, keyId);
  if (key) db.prepare('DELETE FROM api_keys WHERE key_id = ?').run(keyId);
  return key;
}

interface Rotation {
  tenantId: string;
  keyId: string;
  fresh: Pick<ApiKey, 'keyId' | 'sha256' | 'createdAt'>;
  oldEndsAt: number;
}

function rotateKey(db: Db, { tenantId, keyId, fresh, oldEndsAt }: Rotation): { old: ApiKey; fresh: ApiKey } | undefined {
  const old = keyOf(db, tenantId, keyId);
  if (!old) return undefined;
  const made: ApiKey = { ...old, ...fresh };
  insertKey(db, made);
  const ended: ApiKey = { ...old, expiresAt: Math.min(old.expiresAt ?? oldEndsAt, oldEndsAt) };
  db.prepare('UPDATE api_keys SET body = ? WHERE key_id = ?').run(JSON.stringify(ended), keyId);
  return { old: ended, fresh: made };
}

function removeNamespace(db: Db, { tenantId, name }: { tenantId: string; name: string }): 'removed' | 'missing' | 'inUse' {
  if (db.prepare('SELECT 1 FROM functions WHERE tenant_id = ? AND namespace = ? LIMIT 1').get(tenantId, name)) return 'inUse';
  const done = db.prepare('DELETE FROM namespaces WHERE tenant_id = ? AND name = ?').run(tenantId, name);
  return Number(done.changes) === 1 ? 'removed' : 'missing';
}

interface PageInput {
  after?: string;
  limit: number;
}

export const tenancyTables = {
  schema,
  steps: {
    'tenancy.bootstrap': bootstrap,
    'tenancy.createTenant': createTenant,
    'tenancy.changeTenant': changeTenant,
    'tenancy.createKey': insertKey,
    'tenancy.removeKey': removeKey,
    'tenancy.rotateKey': rotateKey,
    'tenancy.createNamespace': (db: Db, { tenantId, name, createdAt }: Namespace): 'created' | 'exists' =>
      Number(db.prepare('INSERT INTO namespaces VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(tenantId, name, createdAt).changes) === 1
        ? 'created'
        : 'exists',
    'tenancy.removeNamespace': removeNamespace,
    /** The first wrapped key stays: two callers that make one at once both get the one that was kept. */
    'tenancy.keepDataKey': (db: Db, { tenantId, wrapped }: { tenantId: string; wrapped: string }): string => {
      db.prepare('INSERT INTO tenant_data_keys VALUES (?, ?) ON CONFLICT DO NOTHING').run(tenantId, wrapped);
      return (db.prepare('SELECT wrapped FROM tenant_data_keys WHERE tenant_id = ?').get(tenantId) as { wrapped: string }).wrapped;
    },
  },
  repeatable: ['tenancy.bootstrap', 'tenancy.keepDataKey'],
  queries: {
    'tenancy.tenant': (db: Db, { tenantId }: { tenantId: string }) => tenantOf(db, tenantId),
    'tenancy.tenants': (db: Db, { after, limit }: PageInput) =>
      bodiesOf<Tenant>(db.prepare('SELECT body FROM tenants WHERE tenant_id > ? ORDER BY tenant_id LIMIT ?').all(after ?? '', limit)),
    'tenancy.countTenants': (db: Db, _: Record<string, never>) =>
      (db.prepare('SELECT count(*) AS n FROM tenants').get() as { n: number }).n,
    'tenancy.keyBySha256': (db: Db, { sha256 }: { sha256: string }) =>
      bodyOf<ApiKey>(db.prepare('SELECT body FROM api_keys WHERE sha256 = ?').get(sha256)),
    'tenancy.keys': (db: Db, { tenantId, after, limit }: { tenantId: string; after?: readonly [number, string]; limit: number }) =>
      bodiesOf<ApiKey>(
        db
          .prepare('SELECT body FROM api_keys WHERE tenant_id = ? AND (created_at, key_id) > (?, ?) ORDER BY created_at, key_id LIMIT ?')
          .all(tenantId, ...(after ?? [-1, '']), limit),
      ),
    'tenancy.hasNamespace': (db: Db, { tenantId, name }: { tenantId: string; name: string }) =>
      db.prepare('SELECT 1 FROM namespaces WHERE tenant_id = ? AND name = ?').get(tenantId, name) !== undefined,
    'tenancy.namespaces': (db: Db, { tenantId, after, limit }: PageInput & { tenantId: string }) =>
      (
        db
          .prepare('SELECT name, created_at FROM namespaces WHERE tenant_id = ? AND name > ? ORDER BY name LIMIT ?')
          .all(tenantId, after ?? '', limit) as {
          name: string;
          created_at: number;
        }[]
      ).map(({ name, created_at }) => ({ tenantId, name, createdAt: created_at }) as Namespace),
    'tenancy.dataKey': (db: Db, { tenantId }: { tenantId: string }) =>
      (db.prepare('SELECT wrapped FROM tenant_data_keys WHERE tenant_id = ?').get(tenantId) as { wrapped: string } | undefined)?.wrapped,
  },
} satisfies Concern;
