import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { Head } from '../../core/invocations/model.js';
import { COLUMNS, pack, type Row, unpack } from './row.js';

/** Payloads above this stand in a table of their own, so that claims and completions do not rewrite them. */
const ROW_PAYLOAD_CHARS = 1024;
/** Stands in the row where the payload is in the other table. No JSON text is empty. */
const ELSEWHERE = '';

const ALL = COLUMNS.join(', ');
const INSERT = `INSERT OR IGNORE INTO invocations (${ALL}) VALUES (${COLUMNS.map(() => '?').join(', ')})`;
const CHANGED = [
  'state',
  'ready_at',
  'lease_owner',
  'void_at',
  'dead_at',
  'dead_reason',
  'error_type',
  'replay_id',
  'blobs',
  'result',
  'body',
];
const UPDATE = `UPDATE invocations SET ${CHANGED.map((name) => `${name} = ?`).join(', ')} WHERE request_id = ?`;
const UPDATE_WITHOUT_PAYLOAD = UPDATE.replace(' SET ', ' SET payload = NULL, ');
export const SELECT = `SELECT ${ALL} FROM invocations`;

/** Rows as arrays in the order of COLUMNS. */
export function rows(db: DatabaseSyncInstance, sql: string, ...parameters: unknown[]): Row[] {
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  return statement.all(...parameters);
}

export function row(db: DatabaseSyncInstance, requestId: string): Row | undefined {
  const statement = db.prepare(`${SELECT} WHERE request_id = ?`);
  statement.setReturnArrays(true);
  return statement.get(requestId);
}

/** The head without a payload that stands in the other table. */
export function load(db: DatabaseSyncInstance, requestId: string): Head | undefined {
  const found = row(db, requestId);
  return found && unpack(found);
}

/** The row with its payload. */
export function withPayload(db: DatabaseSyncInstance, found: Row): Row {
  if (found[16] !== ELSEWHERE) return found;
  const kept = db.prepare('SELECT payload FROM invocation_payloads WHERE request_id = ?').get(found[0]) as { payload: string } | undefined;
  const full: Row = [...found];
  full[16] = kept?.payload ?? null;
  return full;
}

/** False: an invocation of this id is there. */
export function insert(db: DatabaseSyncInstance, made: Row): boolean {
  const large = made[16] !== null && made[16].length > ROW_PAYLOAD_CHARS;
  const kept: Row = large ? [...made] : made;
  if (large) kept[16] = ELSEWHERE;
  if (db.prepare(INSERT).run(...kept).changes === 0) return false;
  if (large) putPayload(db, made);
  if (made[15]) refer(db, made[0], made[15]);
  return true;
}

function putPayload(db: DatabaseSyncInstance, made: Row): void {
  db.prepare('INSERT OR REPLACE INTO invocation_payloads (request_id, payload) VALUES (?, ?)').run(made[0], made[16]);
}

/** Files live as long as a row names them. */
export function refer(db: DatabaseSyncInstance, requestId: string, blobs: string): void {
  for (const digest of blobs.split(' ')) {
    db.prepare('INSERT OR IGNORE INTO invocation_blobs (digest, request_id) VALUES (?, ?)').run(digest, requestId);
  }
}

/** Stores what a rule made of a head. The payload stays as it is. */
export function update(db: DatabaseSyncInstance, head: Head): Row {
  return put(db, UPDATE, head);
}

/** As update, for what has succeeded: nothing will read its payload again. */
export function updateWithoutPayload(db: DatabaseSyncInstance, found: Row, head: Head): Row {
  if (found[16] === ELSEWHERE) db.prepare('DELETE FROM invocation_payloads WHERE request_id = ?').run(found[0]);
  if (found[15]) release(db, found);
  return put(db, UPDATE_WITHOUT_PAYLOAD, { ...head, payload: undefined });
}

function put(db: DatabaseSyncInstance, sql: string, head: Head): Row {
  const made = pack(head);
  db.prepare(sql).run(made[3], made[7], made[8], made[9], made[10], made[11], made[12], made[13], made[15], made[17], made[18], made[0]);
  if (made[15]) refer(db, made[0], made[15]);
  return made;
}

/** As update, with another payload. */
export function replace(db: DatabaseSyncInstance, head: Head): Row {
  const made = pack(head);
  remove(db, made[0]);
  insert(db, made);
  return made;
}

/** The row with everything that hangs on it, except its key. */
export function remove(db: DatabaseSyncInstance, requestId: string): void {
  const found = row(db, requestId);
  if (!found) return;
  db.prepare('DELETE FROM invocations WHERE request_id = ?').run(requestId);
  if (found[16] === ELSEWHERE) db.prepare('DELETE FROM invocation_payloads WHERE request_id = ?').run(requestId);
  if (found[15]) release(db, found);
}

function release(db: DatabaseSyncInstance, found: Row): void {
  for (const digest of found[15]!.split(' ')) {
    db.prepare('DELETE FROM invocation_blobs WHERE digest = ? AND request_id = ?').run(digest, found[0]);
  }
}
