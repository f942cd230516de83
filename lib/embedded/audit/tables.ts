import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { AuditRecord } from '../../core/audit/model.js';
import { DEFAULTS } from '../../core/defaults.js';
import type { Concern } from '../store/concern.js';

/** Append-only, and SQLite itself holds it: nothing is edited, and nothing goes before its 180 days are over. */
const schema = `
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (tenant_id, at, seq);
CREATE INDEX IF NOT EXISTS audit_by_age ON audit (at);
CREATE TRIGGER IF NOT EXISTS audit_is_never_edited BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE DELETE ON audit WHEN OLD.at > CAST(strftime('%s', 'now') AS INTEGER) * 1000 - ${DEFAULTS.auditTtlMs}
  BEGIN SELECT RAISE(ABORT, 'audit is kept 180 days'); END;
`;

type Db = DatabaseSyncInstance;

interface ListInput {
  tenantId: string;
  fromMs?: number;
  toMs?: number;
  /** A GLOB pattern whose only special sign is a last `*`. */
  action?: string;
  before?: readonly [number, number];
  limit: number;
}

function list(db: Db, { tenantId, fromMs, toMs, action, before, limit }: ListInput): { seq: number; record: AuditRecord }[] {
  const [at, seq] = before ?? [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  const rows = db
    .prepare(
      `SELECT seq, body FROM audit WHERE tenant_id = ? AND (at, seq) < (?, ?) AND at >= ? AND at < ? ${action === undefined ? '' : 'AND action GLOB ?'}
       ORDER BY at DESC, seq DESC LIMIT ?`,
    )
    .all(tenantId, at, seq, fromMs ?? 0, toMs ?? Number.MAX_SAFE_INTEGER, ...(action === undefined ? [] : [action]), limit);
  return (rows as { seq: number; body: string }[]).map((row) => ({ seq: row.seq, record: JSON.parse(row.body) as AuditRecord }));
}

export const auditTables = {
  schema,
  steps: {
    'audit.append': (db: Db, record: AuditRecord): void => {
      db.prepare('INSERT INTO audit (tenant_id, at, action, body) VALUES (?, ?, ?, ?)').run(
        record.tenantId,
        record.at,
        record.action,
        JSON.stringify(record),
      );
    },
    /** A small piece at a time, so that nobody's commit waits for it; the count that went. */
    'audit.expire': (db: Db, { now, limit }: { now: number; limit: number }): number =>
      Number(
        db
          .prepare('DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at <= ? ORDER BY at LIMIT ?)')
          .run(now - DEFAULTS.auditTtlMs, limit).changes,
      ),
  },
  queries: { 'audit.list': list },
} satisfies Concern;
