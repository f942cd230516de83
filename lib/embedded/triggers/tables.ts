import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { Trigger } from '../../core/triggers/model.js';
import type { Concern } from '../store/concern.js';

const schema = `
CREATE TABLE IF NOT EXISTS triggers (
  trigger_id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  function_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  -- Schedules only: rises with every run, apart from the body, so that a run and a change never undo each other.
  handled_through INTEGER,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS triggers_by_function ON triggers (tenant_id, function_id, created_at, trigger_id);
CREATE TABLE IF NOT EXISTS trigger_claims (
  tenant_id TEXT NOT NULL,
  claim TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  PRIMARY KEY (tenant_id, claim)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trigger_claims_by_trigger ON trigger_claims (trigger_id);
`;

type Db = DatabaseSyncInstance;
interface Row {
  body: string;
  revision: number;
  handled_through: number | null;
}
const handledOf = (trigger: Trigger): number | null => (trigger.type === 'cron' ? trigger.handledThrough : null);

function triggerOf(row: unknown): Trigger | undefined {
  if (!row) return undefined;
  const { body, handled_through } = row as Row;
  const trigger = JSON.parse(body) as Trigger;
  return trigger.type === 'cron' ? { ...trigger, handledThrough: handled_through ?? trigger.handledThrough } : trigger;
}

function taken(db: Db, trigger: Trigger, claims: string[]): { kind: 'taken'; claim: string; by: string } | undefined {
  for (const claim of claims) {
    const held = db.prepare('SELECT trigger_id FROM trigger_claims WHERE tenant_id = ? AND claim = ?').get(trigger.tenantId, claim);
    const by = (held as { trigger_id: string } | undefined)?.trigger_id;
    if (by !== undefined && by !== trigger.triggerId) return { kind: 'taken', claim, by };
  }
  return undefined;
}

function claim(db: Db, trigger: Trigger, claims: string[]): void {
  db.prepare('DELETE FROM trigger_claims WHERE trigger_id = ?').run(trigger.triggerId);
  for (const each of claims) db.prepare('INSERT INTO trigger_claims VALUES (?, ?, ?)').run(trigger.tenantId, each, trigger.triggerId);
}

interface Change {
  trigger: Trigger;
  claims: string[];
}

function create(
  db: Db,
  { trigger, claims, maxPerFunction }: Change & { maxPerFunction: number },
): { kind: 'created' } | { kind: 'full' } | { kind: 'taken'; claim: string; by: string } {
  const { triggerId, tenantId, functionId, createdAt, revision } = trigger;
  if (db.prepare('SELECT 1 FROM triggers WHERE trigger_id = ?').get(triggerId)) return { kind: 'created' };
  const held = db.prepare('SELECT count(*) AS n FROM triggers WHERE tenant_id = ? AND function_id = ?').get(tenantId, functionId);
  if ((held as { n: number }).n >= maxPerFunction) return { kind: 'full' };
  const conflict = taken(db, trigger, claims);
  if (conflict) return conflict;
  db.prepare('INSERT INTO triggers VALUES (?, ?, ?, ?, ?, ?, ?)').run(
    ...[triggerId, tenantId, functionId, createdAt, revision, handledOf(trigger), JSON.stringify(trigger)],
  );
  claim(db, trigger, claims);
  return { kind: 'created' };
}

function update(
  db: Db,
  { trigger, claims }: Change,
): { kind: 'updated' | 'changed' | 'missing' } | { kind: 'taken'; claim: string; by: string } {
  const { triggerId, tenantId, revision } = trigger;
  const held = db
    .prepare('SELECT revision, body, handled_through FROM triggers WHERE tenant_id = ? AND trigger_id = ?')
    .get(tenantId, triggerId) as Row | undefined;
  if (!held) return { kind: 'missing' };
  const body = JSON.stringify(trigger);
  // The same write again, after its acknowledgement was lost.
  if (held.revision === revision && held.body === body) return { kind: 'updated' };
  if (held.revision !== revision - 1) return { kind: 'changed' };
  const conflict = taken(db, trigger, claims);
  if (conflict) return conflict;
  const handled = trigger.type === 'cron' ? Math.max(trigger.handledThrough, held.handled_through ?? 0) : null;
  db.prepare('UPDATE triggers SET revision = ?, handled_through = ?, body = ? WHERE trigger_id = ?').run(
    revision,
    handled,
    body,
    triggerId,
  );
  claim(db, trigger, claims);
  return { kind: 'updated' };
}

function remove(db: Db, { tenantId, triggerId }: { tenantId: string; triggerId: string }): boolean {
  const gone = db.prepare('DELETE FROM triggers WHERE tenant_id = ? AND trigger_id = ?').run(tenantId, triggerId);
  if (Number(gone.changes) === 0) return false;
  db.prepare('DELETE FROM trigger_claims WHERE trigger_id = ?').run(triggerId);
  return true;
}

function removeOf(db: Db, { tenantId, functionId }: { tenantId: string; functionId: string }): string[] {
  const rows = db.prepare('SELECT trigger_id FROM triggers WHERE tenant_id = ? AND function_id = ?').all(tenantId, functionId);
  const ids = (rows as { trigger_id: string }[]).map((row) => row.trigger_id);
  for (const triggerId of ids) remove(db, { tenantId, triggerId });
  return ids;
}

function handled(db: Db, { tenantId, triggerId, through }: { tenantId: string; triggerId: string; through: number }): void {
  db.prepare('UPDATE triggers SET handled_through = ? WHERE tenant_id = ? AND trigger_id = ? AND handled_through < ?').run(
    ...[through, tenantId, triggerId, through],
  );
}

interface ListInput {
  tenantId: string;
  functionId: string;
  after?: readonly [number, string];
  limit: number;
}

function list(db: Db, { tenantId, functionId, after, limit }: ListInput): Trigger[] {
  const [createdAt, triggerId] = after ?? [-1, ''];
  return db
    .prepare(
      `SELECT body, handled_through FROM triggers WHERE tenant_id = ? AND function_id = ? AND (created_at, trigger_id) > (?, ?)
       ORDER BY created_at, trigger_id LIMIT ?`,
    )
    .all(tenantId, functionId, createdAt, triggerId, limit)
    .map((row) => triggerOf(row)!);
}

export const triggersTables = {
  schema,
  steps: {
    'triggers.create': create,
    'triggers.update': update,
    'triggers.remove': remove,
    'triggers.removeOf': removeOf,
    'triggers.handled': handled,
  },
  repeatable: ['triggers.create', 'triggers.update', 'triggers.handled'],
  queries: {
    'triggers.get': (db: Db, { tenantId, triggerId }: { tenantId: string; triggerId: string }): Trigger | undefined =>
      triggerOf(db.prepare('SELECT body, handled_through FROM triggers WHERE tenant_id = ? AND trigger_id = ?').get(tenantId, triggerId)),
    'triggers.list': list,
    'triggers.all': (db: Db, { after, limit }: { after: string; limit: number }): Trigger[] =>
      db
        .prepare('SELECT body, handled_through FROM triggers WHERE trigger_id > ? ORDER BY trigger_id LIMIT ?')
        .all(after, limit)
        .map((row) => triggerOf(row)!),
  },
} satisfies Concern;
