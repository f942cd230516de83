import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { Attempt } from '../../core/invocations/model.js';
import type { Batch, MessageEnd, NewMessage, QueueMessage, QueueView, Taken, TakeRequest } from '../../core/triggers/port.js';
import type { Concern } from '../store/concern.js';

/**
 * A message is a delivery record. READY: may be handed out from not_before on. WAITING: another of its group comes first.
 * IN_FLIGHT: in a batch that is not settled. SETTLED: only its id is kept, until it may be forgotten.
 * Of a group at most the first unsettled message is READY, so that handing out needs no search.
 */
const schema = `
CREATE TABLE IF NOT EXISTS queues (
  tenant_id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  depth INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  in_flight INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue_messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id TEXT NOT NULL,
  queue TEXT NOT NULL,
  message_id TEXT NOT NULL,
  given INTEGER NOT NULL,
  message_group TEXT,
  state TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  entered_at INTEGER NOT NULL,
  first_received_at INTEGER,
  batch_id TEXT,
  bytes INTEGER NOT NULL,
  body TEXT,
  failures TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS queue_messages_by_id ON queue_messages (tenant_id, queue, message_id);
CREATE INDEX IF NOT EXISTS queue_messages_ready ON queue_messages (tenant_id, queue, not_before, seq) WHERE state = 'READY';
CREATE INDEX IF NOT EXISTS queue_messages_of_group ON queue_messages (tenant_id, queue, message_group, seq)
  WHERE message_group IS NOT NULL AND state <> 'SETTLED';
CREATE INDEX IF NOT EXISTS queue_messages_of_batch ON queue_messages (batch_id, seq) WHERE batch_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS queue_messages_open ON queue_messages (tenant_id, queue, entered_at) WHERE state <> 'SETTLED';
CREATE INDEX IF NOT EXISTS queue_messages_settled ON queue_messages (entered_at) WHERE state = 'SETTLED';
CREATE INDEX IF NOT EXISTS queue_messages_idle ON queue_messages (entered_at) WHERE state IN ('READY', 'WAITING');
CREATE TABLE IF NOT EXISTS queue_batches (
  batch_id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  queue TEXT NOT NULL,
  trigger_id TEXT NOT NULL,
  qualifier TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  platform_faults INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS queue_batches_of_queue ON queue_batches (tenant_id, queue, created_at);
`;

type Db = DatabaseSyncInstance;

interface MessageRow {
  seq: number;
  message_id: string;
  given: number;
  message_group: string | null;
  state: string;
  not_before: number;
  entered_at: number;
  first_received_at: number | null;
  bytes: number;
  body: string;
  failures: string | null;
}

interface BatchRow {
  batch_id: string;
  tenant_id: string;
  queue: string;
  trigger_id: string;
  qualifier: string;
  created_at: number;
  platform_faults: number;
}

interface PutInput {
  tenantId: string;
  queue: string;
  messages: NewMessage[];
  dedupeMs: number;
  maxItems: number;
  maxBytes: number;
  maxQueues: number;
  now: number;
  /** What the whole call brings; absent where an earlier step of it has asked for the room. */
  coming?: { items: number; chars: number };
}

/** Of the bookkeeping around a body, bytes. */
const ROW_BYTES = 200;

function put(db: Db, input: PutInput): { kind: 'accepted'; duplicates: string[] } | { kind: 'backlog' } | { kind: 'queues' } {
  const { tenantId, queue, messages, now } = input;
  const all = db
    .prepare('SELECT count(*) AS n, sum(depth) AS depth, sum(bytes) AS bytes FROM queues WHERE tenant_id = ?')
    .get(tenantId) as {
    n: number;
    depth: number | null;
    bytes: number | null;
  };
  const { items, chars } = input.coming ?? { items: 0, chars: 0 };
  const isFull = (all.depth ?? 0) + items > input.maxItems || (all.bytes ?? 0) + chars + items * ROW_BYTES > input.maxBytes;
  if (input.coming && isFull) return { kind: 'backlog' };
  const known = db.prepare('SELECT 1 FROM queues WHERE tenant_id = ? AND name = ?').get(tenantId, queue);
  if (!known && all.n >= input.maxQueues) return { kind: 'queues' };
  if (!known) db.prepare('INSERT INTO queues VALUES (?, ?, ?, 0, 0, 0)').run(tenantId, queue, now);
  const duplicates: string[] = [];
  let depth = 0;
  let entered = 0;
  for (const message of messages) {
    if (isKnown(db, input, message)) {
      duplicates.push(message.messageId);
      continue;
    }
    entered += enter(db, input, message);
    depth += 1;
  }
  count(db, tenantId, queue, { depth, bytes: entered });
  return { kind: 'accepted', duplicates };
}

/** An id that was settled long enough ago is a new message again, though nobody has swept it out yet. */
function isKnown(db: Db, { tenantId, queue, dedupeMs, now }: PutInput, { messageId }: NewMessage): boolean {
  const row = db
    .prepare('SELECT seq, state, entered_at FROM queue_messages WHERE tenant_id = ? AND queue = ? AND message_id = ?')
    .get(tenantId, queue, messageId) as Pick<MessageRow, 'seq' | 'state' | 'entered_at'> | undefined;
  if (!row) return false;
  if (row.state !== 'SETTLED' || row.entered_at + dedupeMs > now) return true;
  db.prepare('DELETE FROM queue_messages WHERE seq = ?').run(row.seq);
  return false;
}

function enter(db: Db, { tenantId, queue, now }: PutInput, message: NewMessage): number {
  const { messageId, given, group, ...rest } = message;
  const behind =
    group !== undefined &&
    db
      .prepare(`SELECT 1 FROM queue_messages WHERE tenant_id = ? AND queue = ? AND message_group = ? AND state <> 'SETTLED' LIMIT 1`)
      .get(tenantId, queue, group);
  const body = JSON.stringify(rest);
  const bytes = body.length + ROW_BYTES;
  db.prepare(
    `INSERT INTO queue_messages (tenant_id, queue, message_id, given, message_group, state, not_before, entered_at, bytes, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(...[tenantId, queue, messageId, given ? 1 : 0, group ?? null, behind ? 'WAITING' : 'READY', now, now, bytes, body]);
  return bytes;
}

function count(db: Db, tenantId: string, queue: string, by: { depth?: number; bytes?: number; inFlight?: number }): void {
  db.prepare('UPDATE queues SET depth = depth + ?, bytes = bytes + ?, in_flight = in_flight + ? WHERE tenant_id = ? AND name = ?').run(
    ...[by.depth ?? 0, by.bytes ?? 0, by.inFlight ?? 0, tenantId, queue],
  );
}

const COLUMNS = 'seq, message_id, given, message_group, state, not_before, entered_at, first_received_at, bytes, body, failures';

function take(db: Db, input: TakeRequest): Taken {
  const { tenantId, queue, batchId, batchSize, now } = input;
  const held = batchOf(db, batchId);
  if (held) return { kind: 'batch', batch: held };
  const due = db
    .prepare(
      `SELECT seq, message_group, not_before, bytes FROM queue_messages
       WHERE tenant_id = ? AND queue = ? AND state = 'READY' AND not_before <= ? ORDER BY not_before, seq LIMIT ?`,
    )
    .all(tenantId, queue, now, batchSize) as Pick<MessageRow, 'seq' | 'message_group' | 'not_before' | 'bytes'>[];
  if (due.length === 0) return { kind: 'nothing', until: nextAt(db, tenantId, queue) };
  const chosen = choose(db, input, due);
  const full = chosen.seqs.length >= batchSize || chosen.full;
  const until = due[0]!.not_before + input.batchWindowMs;
  if (!full && until > now) return { kind: 'nothing', until };
  db.prepare('INSERT INTO queue_batches VALUES (?, ?, ?, ?, ?, ?, 0)').run(batchId, tenantId, queue, input.triggerId, input.qualifier, now);
  for (const seq of chosen.seqs) {
    db.prepare(
      `UPDATE queue_messages SET state = 'IN_FLIGHT', batch_id = ?, first_received_at = coalesce(first_received_at, ?) WHERE seq = ?`,
    ).run(batchId, now, seq);
  }
  count(db, tenantId, queue, { inFlight: chosen.seqs.length });
  return { kind: 'batch', batch: batchOf(db, batchId)! };
}

/** Those that are due, each followed by what waits behind it in its group, within the batch's size and bytes. */
function choose(
  db: Db,
  { tenantId, queue, batchSize, maxBytes, now }: TakeRequest,
  due: Pick<MessageRow, 'seq' | 'message_group' | 'bytes'>[],
): { seqs: number[]; full: boolean } {
  const seqs: number[] = [];
  let bytes = 0;
  const add = (row: { seq: number; bytes: number }): boolean => {
    if (seqs.length > 0 && bytes + row.bytes > maxBytes) return false;
    seqs.push(row.seq);
    bytes += row.bytes;
    return true;
  };
  for (const row of due) {
    if (seqs.length >= batchSize) break;
    if (!add(row)) return { seqs, full: true };
    if (row.message_group === null) continue;
    const behind = db
      .prepare(
        `SELECT seq, not_before, bytes FROM queue_messages
         WHERE tenant_id = ? AND queue = ? AND message_group = ? AND state <> 'SETTLED' AND seq > ? ORDER BY seq LIMIT ?`,
      )
      .all(tenantId, queue, row.message_group, row.seq, batchSize - seqs.length) as Pick<MessageRow, 'seq' | 'not_before' | 'bytes'>[];
    for (const next of behind) {
      if (next.not_before > now) break;
      if (!add(next)) return { seqs, full: true };
    }
  }
  return { seqs, full: false };
}

function nextAt(db: Db, tenantId: string, queue: string): number | undefined {
  const row = db
    .prepare(`SELECT min(not_before) AS at FROM queue_messages WHERE tenant_id = ? AND queue = ? AND state = 'READY'`)
    .get(tenantId, queue) as { at: number | null };
  return row.at ?? undefined;
}

function batchOf(db: Db, batchId: string): Batch | undefined {
  const row = db.prepare('SELECT * FROM queue_batches WHERE batch_id = ?').get(batchId) as BatchRow | undefined;
  if (!row) return undefined;
  const messages = db
    .prepare(`SELECT ${COLUMNS} FROM queue_messages WHERE batch_id = ? ORDER BY seq`)
    .all(batchId) as unknown as MessageRow[];
  return {
    batchId,
    tenantId: row.tenant_id as Batch['tenantId'],
    queue: row.queue,
    triggerId: row.trigger_id as Batch['triggerId'],
    qualifier: row.qualifier,
    createdAt: row.created_at,
    platformFaults: row.platform_faults,
    messages: messages.map(messageOf),
  };
}

const messageOf = (row: MessageRow): QueueMessage => ({
  ...(JSON.parse(row.body) as Omit<NewMessage, 'messageId' | 'given' | 'group'>),
  messageId: row.message_id,
  given: row.given === 1,
  group: row.message_group ?? undefined,
  failures: failuresOf(row),
  firstReceivedAt: row.first_received_at ?? row.entered_at,
});

const failuresOf = (row: Pick<MessageRow, 'failures'>): Attempt[] => (row.failures === null ? [] : (JSON.parse(row.failures) as Attempt[]));

function release(db: Db, { batchId, notBefore }: { batchId: string; notBefore: number }): boolean {
  const batch = db.prepare('SELECT * FROM queue_batches WHERE batch_id = ?').get(batchId) as BatchRow | undefined;
  if (!batch) return false;
  const rows = messagesOf(db, batchId);
  for (const row of rows) wait(db, row, notBefore, row.failures);
  close(db, batch, rows);
  return true;
}

const messagesOf = (db: Db, batchId: string) =>
  db.prepare(`SELECT ${COLUMNS} FROM queue_messages WHERE batch_id = ? ORDER BY seq`).all(batchId) as unknown as MessageRow[];

function wait(db: Db, row: MessageRow, notBefore: number, failures: string | null): void {
  db.prepare('UPDATE queue_messages SET state = ?, not_before = ?, failures = ?, batch_id = NULL WHERE seq = ?').run(
    ...[row.message_group === null ? 'READY' : 'WAITING', notBefore, failures, row.seq],
  );
}

/** The batch is over; in each group that it touched the first that is left comes next. */
function close(db: Db, batch: BatchRow, rows: MessageRow[]): void {
  db.prepare('DELETE FROM queue_batches WHERE batch_id = ?').run(batch.batch_id);
  count(db, batch.tenant_id, batch.queue, { inFlight: -rows.length });
  for (const group of new Set(rows.map((row) => row.message_group)))
    if (group !== null) nextOfGroup(db, batch.tenant_id, batch.queue, group);
}

function nextOfGroup(db: Db, tenantId: string, queue: string, group: string): void {
  db.prepare(
    `UPDATE queue_messages SET state = 'READY' WHERE state = 'WAITING' AND seq = (
       SELECT min(seq) FROM queue_messages WHERE tenant_id = ? AND queue = ? AND message_group = ? AND state <> 'SETTLED')`,
  ).run(tenantId, queue, group);
}

function settle(db: Db, { batchId, ends }: { batchId: string; ends: MessageEnd[]; now: number }): boolean {
  const batch = db.prepare('SELECT * FROM queue_batches WHERE batch_id = ?').get(batchId) as BatchRow | undefined;
  if (!batch) return false;
  const rows = messagesOf(db, batchId);
  const byId = new Map(ends.map((end) => [end.messageId, end]));
  let gone = 0;
  let bytes = 0;
  for (const row of rows) {
    const end = byId.get(row.message_id);
    if (end?.kind === 'again') {
      wait(db, row, end.notBefore, JSON.stringify([...failuresOf(row), end.failure]));
      continue;
    }
    if (row.given) {
      db.prepare(`UPDATE queue_messages SET state = 'SETTLED', body = NULL, failures = NULL, batch_id = NULL, bytes = 0 WHERE seq = ?`).run(
        row.seq,
      );
    } else db.prepare('DELETE FROM queue_messages WHERE seq = ?').run(row.seq);
    gone += 1;
    bytes += row.bytes;
  }
  count(db, batch.tenant_id, batch.queue, { depth: -gone, bytes: -bytes });
  close(db, batch, rows);
  return true;
}

function faulted(db: Db, { batchId }: { batchId: string }): number {
  db.prepare('UPDATE queue_batches SET platform_faults = platform_faults + 1 WHERE batch_id = ?').run(batchId);
  const row = db.prepare('SELECT platform_faults FROM queue_batches WHERE batch_id = ?').get(batchId) as BatchRow | undefined;
  return row?.platform_faults ?? 0;
}

interface ForgetInput {
  settledBefore: number;
  expireBefore: number;
  limit: number;
}

function forget(db: Db, { settledBefore, expireBefore, limit }: ForgetInput): number {
  const settled = db
    .prepare(
      `DELETE FROM queue_messages WHERE seq IN (SELECT seq FROM queue_messages WHERE state = 'SETTLED' AND entered_at < ? ORDER BY entered_at LIMIT ?)`,
    )
    .run(settledBefore, limit);
  const old = db
    .prepare(
      `SELECT seq, tenant_id, queue, message_group, bytes FROM queue_messages
       WHERE state IN ('READY', 'WAITING') AND entered_at < ? ORDER BY entered_at LIMIT ?`,
    )
    .all(expireBefore, limit) as { seq: number; tenant_id: string; queue: string; message_group: string | null; bytes: number }[];
  for (const row of old) {
    db.prepare('DELETE FROM queue_messages WHERE seq = ?').run(row.seq);
    count(db, row.tenant_id, row.queue, { depth: -1, bytes: -row.bytes });
    if (row.message_group !== null) nextOfGroup(db, row.tenant_id, row.queue, row.message_group);
  }
  return Number(settled.changes) + old.length;
}

interface QueueRow {
  name: string;
  created_at: number;
  depth: number;
  bytes: number;
  in_flight: number;
}

function viewOf(db: Db, tenantId: string, row: unknown): QueueView | undefined {
  if (!row) return undefined;
  const { name, created_at, depth, bytes, in_flight } = row as QueueRow;
  const oldest = db
    .prepare(`SELECT min(entered_at) AS at FROM queue_messages WHERE tenant_id = ? AND queue = ? AND state <> 'SETTLED'`)
    .get(tenantId, name) as { at: number | null };
  return { name, createdAt: created_at, depth, bytes, inFlight: in_flight, oldestSentAt: oldest.at ?? undefined };
}

export const queuesTables = {
  schema,
  steps: {
    'queues.put': put,
    'queues.take': take,
    'queues.release': release,
    'queues.settle': settle,
    'queues.faulted': faulted,
    'queues.forget': forget,
  },
  repeatable: ['queues.take'],
  queries: {
    'queues.open': (db: Db, { tenantId, queue }: { tenantId: string; queue: string }): Batch[] =>
      (
        db.prepare('SELECT batch_id FROM queue_batches WHERE tenant_id = ? AND queue = ? ORDER BY created_at').all(tenantId, queue) as {
          batch_id: string;
        }[]
      ).map(({ batch_id }) => batchOf(db, batch_id)!),
    // Names with ':' are the platform's own: messages on their way from another queue.
    'queues.list': (db: Db, { tenantId, after, limit }: { tenantId: string; after: string; limit: number }): QueueView[] =>
      db
        .prepare(`SELECT * FROM queues WHERE tenant_id = ? AND name > ? AND name NOT LIKE '%:%' ORDER BY name LIMIT ?`)
        .all(tenantId, after, limit)
        .map((row) => viewOf(db, tenantId, row)!),
    'queues.get': (db: Db, { tenantId, name }: { tenantId: string; name: string }): QueueView | undefined =>
      viewOf(db, tenantId, db.prepare('SELECT * FROM queues WHERE tenant_id = ? AND name = ?').get(tenantId, name)),
  },
} satisfies Concern;
