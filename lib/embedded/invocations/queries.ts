import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { PRIORITIES, type Priority } from '../../core/functions/model.js';
import type { FunctionId, RequestId, TenantId } from '../../core/ids.js';
import { timePrefix } from '../../core/ids.js';
import { STATES, type State } from '../../core/invocations/model.js';
import type { DeadLetterFilter, InvocationFilter, ReadyCount, ReadyEntry, ReplayJob } from '../../core/invocations/port.js';
import { rows, SELECT, withPayload } from './records.js';
import { aloneOf, qualifierOf, type Row } from './row.js';

type Db = DatabaseSyncInstance;

function get(db: Db, { tenantId, requestId }: { tenantId: string; requestId: string }): Row | undefined {
  const found = rows(db, `${SELECT} WHERE request_id = ? AND tenant_id = ?`, requestId, tenantId)[0];
  return found && withPayload(db, found);
}

/** Ids begin with the time of acceptance, so that times are ranges of the very index that gives the order. */
const idAt = (epochMs: number): string => `req_${timePrefix(epochMs)}`;

export type ListInput = Omit<InvocationFilter, 'cursor'> & { before?: string };

/** Newest first; one more than `limit`, which tells that there is a next page. */
function list(db: Db, { tenantId, functionId, states, fromMs, toMs, before, limit }: ListInput): Row[] {
  const codes = (states ?? STATES).map((state: State) => STATES.indexOf(state));
  const all = codes.length === STATES.length;
  // Few run at a time, so those are looked up as such, not searched for among all that wait.
  const running = codes.length === 1 && codes[0] === STATES.indexOf('RUNNING');
  const rare = running ? 'AND lease_owner IS NOT NULL' : all || codes.includes(STATES.indexOf('SUCCEEDED')) ? '' : 'AND state <> 3';
  return rows(
    db,
    `${SELECT} ${running ? 'INDEXED BY invocations_leased' : ''} WHERE function_id = ? AND tenant_id = ? AND request_id >= ? AND request_id < ? AND request_id < ? ${rare}
     ${all ? '' : 'AND state IN (SELECT value FROM json_each(?))'} ORDER BY request_id DESC LIMIT ?`,
    functionId,
    tenantId,
    idAt(fromMs ?? 0),
    toMs === undefined ? END : idAt(toMs + 1),
    before ?? END,
    ...(all ? [] : [JSON.stringify(codes)]),
    limit + 1,
  );
}

/** After every request id. */
const END = 'req_~';

export type DeadLettersInput = Omit<DeadLetterFilter, 'cursor' | 'limit'> & {
  before?: readonly [deadAt: number, requestId: string];
  limit?: number;
};

const DEAD = `FROM invocations WHERE function_id = ?1 AND tenant_id = ?2 AND dead_at IS NOT NULL AND dead_at >= ?3 AND dead_at <= ?4
  AND (?5 IS NULL OR error_type = ?5) AND (?6 IS NULL OR dead_reason = ?6)
  AND (?7 IS NULL OR request_id IN (SELECT value FROM json_each(?7)))`;

const deadParameters = (filter: DeadLettersInput): unknown[] => [
  filter.functionId,
  filter.tenantId,
  filter.fromMs ?? 0,
  filter.toMs ?? Number.MAX_SAFE_INTEGER,
  filter.errorType ?? null,
  filter.reason ?? null,
  filter.requestIds ? JSON.stringify(filter.requestIds) : null,
];

/** The latest deaths first. */
function deadLetters(db: Db, filter: DeadLettersInput): Row[] {
  const [deadAt, requestId] = filter.before ?? [Number.MAX_SAFE_INTEGER, END];
  return rows(
    db,
    `${SELECT.replace(/FROM .*/, '')} ${DEAD} AND (dead_at, request_id) < (?8, ?9) ORDER BY dead_at DESC, request_id DESC LIMIT ?10`,
    ...deadParameters(filter),
    deadAt,
    requestId,
    filter.limit! + 1,
  );
}

function countDeadLetters(db: Db, filter: DeadLettersInput): number {
  return (db.prepare(`SELECT count(*) AS found ${DEAD}`).get(...deadParameters(filter)) as { found: number }).found;
}

interface ReadyQuery {
  tenantId: TenantId;
  functionId: FunctionId;
  priority: Priority;
  until: number;
  limit: number;
}

function ready(db: Db, { tenantId, functionId, priority, until, limit }: ReadyQuery): ReadyEntry[] {
  const found = rows(
    db,
    `${SELECT} WHERE tenant_id = ? AND function_id = ? AND priority = ? AND ready_at IS NOT NULL AND ready_at <= ?
     ORDER BY ready_at, request_id LIMIT ?`,
    tenantId,
    functionId,
    PRIORITIES.indexOf(priority),
    until,
    limit,
  );
  return found.map((each) => ({
    requestId: each[0] as RequestId,
    tenantId,
    functionId,
    priority,
    qualifier: qualifierOf(each),
    readyAt: each[7]!,
    payloadBytes: each[6],
    alone: aloneOf(each),
  }));
}

/** Read from the ready index alone: a million waiting rows take a fraction of a second. */
function readyCounts(db: Db): ReadyCount[] {
  const counted = db
    .prepare(
      `SELECT tenant_id, function_id, priority, count(*) AS count, sum(payload_bytes) AS bytes, min(ready_at) AS next_at
       FROM invocations INDEXED BY invocations_ready WHERE ready_at IS NOT NULL GROUP BY tenant_id, function_id, priority`,
    )
    .all() as { tenant_id: TenantId; function_id: FunctionId; priority: number; count: number; bytes: number; next_at: number }[];
  return counted.map(({ tenant_id, function_id, priority, count, bytes, next_at }) => ({
    tenantId: tenant_id,
    functionId: function_id,
    priority: PRIORITIES[priority]!,
    count,
    bytes,
    nextAt: next_at,
  }));
}

const replayOf = (found: unknown): ReplayJob | undefined => found && JSON.parse((found as { body: string }).body);

function replayJob(db: Db, { tenantId, replayId }: { tenantId: string; replayId: string }): ReplayJob | undefined {
  return replayOf(db.prepare('SELECT body FROM replays WHERE replay_id = ? AND tenant_id = ?').get(replayId, tenantId));
}

function unfinishedReplays(db: Db): ReplayJob[] {
  return db
    .prepare('SELECT body FROM replays WHERE scanned = 0 ORDER BY replay_id')
    .all()
    .map((found) => replayOf(found)!);
}

function replayTally(db: Db, replayId: string): { replayed: number; healed: number; failed: number } {
  return db
    .prepare(
      `SELECT count(*) AS replayed, count(*) FILTER (WHERE state = 3) AS healed, count(*) FILTER (WHERE state > 3) AS failed
       FROM invocations WHERE replay_id = ?`,
    )
    .get(replayId);
}

/** Those of the digests that some invocation still names. */
function namedBlobs(db: Db, digests: string[]): string[] {
  return db
    .prepare('SELECT DISTINCT digest FROM invocation_blobs WHERE digest IN (SELECT value FROM json_each(?))')
    .all(JSON.stringify(digests))
    .map(({ digest }: { digest: string }) => digest);
}

/** The latest that any owner said it was; undefined in a new store. */
function lastSeen(db: Db): number | undefined {
  return db.prepare('SELECT max(seen_at) AS at FROM owners').get().at ?? undefined;
}

export const queries = {
  'invocations.get': get,
  'invocations.list': list,
  'invocations.deadLetters': deadLetters,
  'invocations.countDeadLetters': countDeadLetters,
  'invocations.ready': ready,
  'invocations.readyCounts': readyCounts,
  'invocations.replayJob': replayJob,
  'invocations.unfinishedReplays': unfinishedReplays,
  'invocations.replayTally': replayTally,
  'invocations.namedBlobs': namedBlobs,
  'invocations.lastSeen': lastSeen,
};
