import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { FunctionRecord, VersionRecord } from '../../core/functions/model.js';
import type { Concern } from '../store/concern.js';

/** The environment as it lies at rest: sealed, with a fingerprint that tells a change without opening it. */
export interface SealedEnv {
  sealedEnv: string;
  envMark: string;
}
export type StoredFunction = Omit<FunctionRecord, 'env'> & SealedEnv;
export type StoredVersion = Omit<VersionRecord, 'env'> & SealedEnv;

const schema = `
CREATE TABLE IF NOT EXISTS functions (
  function_id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  standing INTEGER NOT NULL,
  code_sha256 TEXT,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS functions_by_name ON functions (tenant_id, namespace, name);
CREATE INDEX IF NOT EXISTS functions_by_age ON functions (tenant_id, created_at, function_id);
CREATE INDEX IF NOT EXISTS functions_standing ON functions (function_id) WHERE standing = 1;
CREATE TABLE IF NOT EXISTS function_versions (
  function_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  tenant_id TEXT NOT NULL,
  code_sha256 TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (function_id, version)
) STRICT, WITHOUT ROWID;
`;

type Db = DatabaseSyncInstance;
interface Row {
  body: string;
}
const isStanding = (record: StoredFunction): number =>
  (record.scaling.min > 0 && record.state === 'ENABLED') || (record.concurrency.reserved ?? 0) > 0 ? 1 : 0;
const bodyOf = <T>(row: unknown): T | undefined => (row ? (JSON.parse((row as Row).body) as T) : undefined);
const bodiesOf = <T>(rows: unknown[]): T[] => rows.map((row) => JSON.parse((row as Row).body) as T);

function create(db: Db, record: StoredFunction): { kind: 'created' } | { kind: 'exists'; functionId: string } {
  const { tenantId, namespace, name } = record;
  const held = db
    .prepare('SELECT function_id FROM functions WHERE tenant_id = ? AND namespace = ? AND name = ?')
    .get(tenantId, namespace, name);
  const heldId = (held as { function_id: string } | undefined)?.function_id;
  if (heldId === record.functionId) return { kind: 'created' };
  if (heldId !== undefined) return { kind: 'exists', functionId: heldId };
  db.prepare('INSERT INTO functions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
    ...[record.functionId, tenantId, namespace, name, record.createdAt, record.revision],
    ...[isStanding(record), record.codeSha256, JSON.stringify(record)],
  );
  return { kind: 'created' };
}

function update(db: Db, record: StoredFunction): { kind: 'updated' | 'changed' | 'missing' } {
  const row = db
    .prepare('SELECT revision, body FROM functions WHERE tenant_id = ? AND function_id = ?')
    .get(record.tenantId, record.functionId);
  const held = row as { revision: number; body: string } | undefined;
  if (!held) return { kind: 'missing' };
  const body = JSON.stringify(record);
  // The same write again, after its acknowledgement was lost.
  if (held.revision === record.revision && held.body === body) return { kind: 'updated' };
  if (held.revision !== record.revision - 1) return { kind: 'changed' };
  db.prepare('UPDATE functions SET revision = ?, standing = ?, code_sha256 = ?, body = ? WHERE function_id = ?').run(
    ...[record.revision, isStanding(record), record.codeSha256, body, record.functionId],
  );
  return { kind: 'updated' };
}

function remove(db: Db, { tenantId, functionId }: { tenantId: string; functionId: string }): boolean {
  const gone = db.prepare('DELETE FROM functions WHERE tenant_id = ? AND function_id = ?').run(tenantId, functionId);
  if (Number(gone.changes) === 0) return false;
  db.prepare('DELETE FROM function_versions WHERE function_id = ?').run(functionId);
  return true;
}

/** What a version freezes. */
const FROZEN = [
  'runtime',
  'handler',
  'memoryMb',
  'timeoutSec',
  'layers',
  'processModel',
  'network',
  'concurrency',
  'codeSha256',
  'envMark',
] as const;

function publish(
  db: Db,
  { tenantId, functionId, description, now }: { tenantId: string; functionId: string; description: string; now: number },
): StoredVersion | undefined {
  const fn = bodyOf<StoredFunction>(
    db.prepare('SELECT body FROM functions WHERE tenant_id = ? AND function_id = ?').get(tenantId, functionId),
  );
  if (!fn || fn.codeSha256 === null) return undefined;
  const last = bodyOf<StoredVersion>(
    db.prepare('SELECT body FROM function_versions WHERE function_id = ? AND version = ?').get(functionId, fn.lastVersion),
  );
  if (last && FROZEN.every((field) => JSON.stringify(last[field]) === JSON.stringify(fn[field]))) return last;
  const {
    runtime,
    handler,
    memoryMb,
    timeoutSec,
    layers,
    processModel,
    network,
    concurrency,
    sealedEnv,
    envMark,
    codeSha256,
    codeSizeBytes,
  } = fn;
  const version: StoredVersion = {
    ...{ runtime, handler, memoryMb, timeoutSec, layers, processModel, network, concurrency, sealedEnv, envMark },
    ...{ functionId: fn.functionId, version: fn.lastVersion + 1, description, codeSha256, codeSizeBytes, createdAt: now },
  };
  db.prepare('INSERT INTO function_versions VALUES (?, ?, ?, ?, ?)').run(
    functionId,
    version.version,
    tenantId,
    codeSha256,
    JSON.stringify(version),
  );
  // The revision rises too: an update that was read before this must not bring the old lastVersion back.
  const after: StoredFunction = { ...fn, lastVersion: version.version, revision: fn.revision + 1 };
  update(db, after);
  return version;
}

interface ListInput {
  tenantId: string;
  namespace?: string;
  name?: string;
  after?: readonly [number, string];
  limit: number;
}

function list(db: Db, { tenantId, namespace, name, after, limit }: ListInput): StoredFunction[] {
  const [createdAt, functionId] = after ?? [-1, ''];
  const sql = `SELECT body FROM functions WHERE tenant_id = ? AND (created_at, function_id) > (?, ?)
    ${namespace === undefined ? '' : 'AND namespace = ?'} ${name === undefined ? '' : 'AND name = ?'}
    ORDER BY created_at, function_id LIMIT ?`;
  const filters = [namespace, name].filter((each) => each !== undefined);
  return bodiesOf(db.prepare(sql).all(tenantId, createdAt, functionId, ...filters, limit));
}

export const functionsTables = {
  schema,
  steps: { 'functions.create': create, 'functions.update': update, 'functions.remove': remove, 'functions.publish': publish },
  repeatable: ['functions.create', 'functions.update'],
  queries: {
    'functions.get': (db: Db, { tenantId, functionId }: { tenantId: string; functionId: string }) =>
      bodyOf<StoredFunction>(db.prepare('SELECT body FROM functions WHERE tenant_id = ? AND function_id = ?').get(tenantId, functionId)),
    'functions.byName': (db: Db, { tenantId, namespace, name }: { tenantId: string; namespace: string; name: string }) =>
      bodyOf<StoredFunction>(
        db.prepare('SELECT body FROM functions WHERE tenant_id = ? AND namespace = ? AND name = ?').get(tenantId, namespace, name),
      ),
    'functions.list': list,
    'functions.version': (db: Db, { tenantId, functionId, version }: { tenantId: string; functionId: string; version: number }) =>
      bodyOf<StoredVersion>(
        db
          .prepare('SELECT body FROM function_versions WHERE tenant_id = ? AND function_id = ? AND version = ?')
          .get(tenantId, functionId, version),
      ),
    'functions.versions': (db: Db, input: { tenantId: string; functionId: string; after: number; limit: number }) =>
      bodiesOf<StoredVersion>(
        db
          .prepare('SELECT body FROM function_versions WHERE tenant_id = ? AND function_id = ? AND version > ? ORDER BY version LIMIT ?')
          .all(input.tenantId, input.functionId, input.after, input.limit),
      ),
    'functions.standing': (db: Db, _: Record<string, never>) =>
      bodiesOf<StoredFunction>(db.prepare('SELECT body FROM functions WHERE standing = 1').all()),
    'functions.codeInUse': (db: Db, _: Record<string, never>) =>
      (
        db
          .prepare('SELECT code_sha256 FROM functions WHERE code_sha256 IS NOT NULL UNION SELECT code_sha256 FROM function_versions')
          .all() as {
          code_sha256: string;
        }[]
      ).map((row) => row.code_sha256),
  },
} satisfies Concern;
