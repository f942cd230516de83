import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import type { FunctionId, RequestId, TenantId } from '../../core/ids.js';
import type {
  AcceptRequest,
  AttemptEnd,
  ClaimRef,
  ClaimRequest,
  CompletionPolicy,
  DeadReason,
  Head,
} from '../../core/invocations/model.js';
import type { ReplayJob } from '../../core/invocations/port.js';
import * as rules from '../../core/invocations/rules.js';
import { insertLedger } from '../metering/tables.js';
import { insert, load, refer, remove, replace, row, update, updateWithoutPayload, withPayload } from './records.js';
import { type FinishedRow, type Row, unpack } from './row.js';

type Db = DatabaseSyncInstance;

const RECORD = `INSERT OR IGNORE INTO invocations
  (request_id, tenant_id, function_id, state, priority, accepted_at, payload_bytes, blobs, result, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

function record(db: Db, input: FinishedRow): void {
  const [requestId, tenantId, functionId, state, priority, acceptedAt, payloadBytes, blobs, result, body] = input;
  const done = db.prepare(RECORD).run(requestId, tenantId, functionId, state, priority, acceptedAt, payloadBytes, blobs, result, body);
  if (done.changes === 0) return;
  if (blobs) refer(db, requestId, blobs);
  const [, , , , , , , , , , version, memoryMb, billedMs, endedAt] = input;
  if (billedMs === 0) return;
  insertLedger(db, {
    requestId: requestId as RequestId,
    attempt: 1,
    tenantId: tenantId as TenantId,
    functionId: functionId as FunctionId,
    version,
    memoryMb,
    billedMs,
    endedAt,
    first: true,
  });
}

export type AcceptAnswer = { kind: 'fresh' } | { kind: rules.AcceptDecision['kind']; row: Row; reopened: boolean };

/** `fresh` is the request as a new invocation: it says all that the request says. */
export interface AcceptInput {
  fresh: Row;
  keyExpiresAt?: number;
}

function accept(db: Db, { fresh, keyExpiresAt }: AcceptInput): AcceptAnswer {
  const slot = fresh[14];
  if (slot === null) return acceptKeyless(db, fresh);
  const held = heldBy(db, slot);
  // By far the most: nobody holds the key, and then the rule makes of the request what it was sent as.
  if (!held) return storeFresh(db, fresh, slot, keyExpiresAt!);
  const decision = rules.accept(held, requestOf(fresh));
  if (decision.kind !== 'accepted' || decision.head === held) {
    return { kind: decision.kind, row: row(db, decision.head.requestId)!, reopened: false };
  }
  if (!decision.reopened) return storeFresh(db, fresh, slot, keyExpiresAt!);
  keepKey(db, slot, held.requestId, keyExpiresAt!);
  return { kind: 'accepted', row: replace(db, decision.head), reopened: true };
}

function storeFresh(db: Db, fresh: Row, slot: string, keyExpiresAt: number): AcceptAnswer {
  keepKey(db, slot, fresh[0], keyExpiresAt);
  insert(db, fresh);
  return { kind: 'fresh' };
}

/** An id is made once, so a row that is there already is this very request, stored before. */
function acceptKeyless(db: Db, fresh: Row): AcceptAnswer {
  if (insert(db, fresh)) return { kind: 'fresh' };
  return { kind: 'accepted', row: row(db, fresh[0])!, reopened: false };
}

function heldBy(db: Db, slot: string): Head | undefined {
  const key = db.prepare('SELECT request_id FROM invocation_keys WHERE slot = ?').get(slot) as { request_id: string } | undefined;
  return key && load(db, key.request_id);
}

function keepKey(db: Db, slot: string, requestId: string, expiresAt: number): void {
  db.prepare('INSERT OR REPLACE INTO invocation_keys (slot, request_id, expires_at) VALUES (?, ?, ?)').run(slot, requestId, expiresAt);
}

function requestOf(fresh: Row): AcceptRequest {
  const head = unpack(fresh);
  return {
    ...head,
    key: { slot: head.keySlot!, digest: head.digest!, expiresAt: head.keyExpiresAt! },
    nonce: head.lastNonce,
    claim: head.lease && { owner: head.lease.owner, voidAt: head.lease.voidAt },
    now: head.acceptedAt,
  };
}

export type ClaimAnswer =
  | { kind: 'claimed'; row: Row; alone: boolean }
  | { kind: 'terminal' | 'freed' | 'buried'; row: Row }
  | Exclude<rules.ClaimDecision, { head: Head }>;

function claim(db: Db, { requestId, request }: { requestId: string; request: ClaimRequest }): ClaimAnswer {
  const found = row(db, requestId);
  const head = found && unpack(found);
  const decision = rules.claim(head, request, head?.lease ? seenAt(db, head.lease.owner) : 0);
  switch (decision.kind) {
    case 'claimed': {
      const made = decision.head === head ? found! : update(db, decision.head);
      return { kind: 'claimed', row: withPayload(db, keepingPayload(made, found!)), alone: decision.alone };
    }
    case 'freed':
    case 'buried':
      return { kind: decision.kind, row: decision.head === head ? found! : update(db, decision.head) };
    case 'terminal':
      return { kind: 'terminal', row: found! };
    default:
      return decision;
  }
}

/** What was packed anew from a head whose payload stands in the other table does not say so. */
function keepingPayload(made: Row, found: Row): Row {
  made[16] = found[16];
  return made;
}

const seenAt = (db: Db, owner: string): number =>
  (db.prepare('SELECT seen_at FROM owners WHERE owner = ?').get(owner) as { seen_at: number } | undefined)?.seen_at ?? 0;

export type CompleteAnswer = { kind: 'recorded' | 'already'; row: Row } | { kind: 'stale' };

function complete(db: Db, { ref, end, policy }: { ref: ClaimRef; end: AttemptEnd; policy: CompletionPolicy }): CompleteAnswer {
  const found = row(db, ref.requestId);
  const decision = rules.complete(found && unpack(found), ref, end, policy);
  if (decision.kind === 'stale') return decision;
  if (decision.kind === 'already') return { kind: 'already', row: found! };
  if (decision.usage) insertLedger(db, decision.usage);
  const made = decision.head.state === 'SUCCEEDED' ? updateWithoutPayload(db, found!, decision.head) : update(db, decision.head);
  return { kind: 'recorded', row: made };
}

function giveBack(db: Db, { ref, readyAt, parked }: { ref: ClaimRef; readyAt: number; parked: boolean }): boolean {
  const head = load(db, ref.requestId);
  const back = rules.giveBack(head, ref, { readyAt, parked });
  if (back && back !== head) update(db, back);
  return back !== undefined;
}

function withdraw(db: Db, ref: ClaimRef): boolean {
  const head = load(db, ref.requestId);
  const decision = rules.withdraw(head, ref);
  if (decision.kind === 'stale') return false;
  if (decision.kind === 'closed') {
    update(db, decision.head);
  } else {
    remove(db, ref.requestId);
    if (head?.keySlot) db.prepare('DELETE FROM invocation_keys WHERE slot = ? AND request_id = ?').run(head.keySlot, ref.requestId);
  }
  return true;
}

interface BuryInput {
  requestId: string;
  reason: DeadReason;
  now: number;
  nonce: string;
}

function bury(db: Db, { requestId, reason, now, nonce }: BuryInput): Row | undefined {
  const found = row(db, requestId);
  if (!found) return undefined;
  const head = unpack(found);
  const buried = rules.bury(head, reason, now, nonce);
  return buried === head ? found : update(db, buried);
}

interface ReplayInput {
  tenantId: string;
  requestId: string;
  replayId: string;
  now: number;
  nonce: string;
}

function replay(db: Db, { tenantId, requestId, replayId, now, nonce }: ReplayInput): Row | undefined {
  const found = row(db, requestId);
  if (found?.[1] !== tenantId) return undefined;
  const head = unpack(found);
  const next = rules.replay(head, replayId, now, nonce);
  if (!next) return undefined;
  return next === head ? found : update(db, next);
}

export interface TakeOverInput {
  gone: string[] | 'all-but';
  owner: string;
  running: RequestId[];
  now: number;
  nonce: string;
  limit: number;
}

function takeOver(db: Db, { gone, owner, running, now, nonce, limit }: TakeOverInput): Row[] {
  const leased = db.prepare('SELECT request_id, lease_owner FROM invocations WHERE lease_owner IS NOT NULL').all() as {
    request_id: string;
    lease_owner: string;
  }[];
  const isGone = (holder: string): boolean => (gone === 'all-but' ? holder !== owner : gone.includes(holder));
  const kept = new Set<string>(running);
  const freed: Row[] = [];
  for (const { request_id, lease_owner } of leased) {
    if (freed.length >= limit) break;
    if (lease_owner === owner && kept.has(request_id)) continue;
    const head = load(db, request_id)!;
    if (isGone(lease_owner) || rules.leaseIsVoid(head.lease!, now, seenAt(db, lease_owner))) {
      freed.push(update(db, rules.takeover(head, now, nonce)));
    }
  }
  return freed;
}

function heartbeat(db: Db, { owner, now }: { owner: string; now: number }): void {
  db.prepare('INSERT INTO owners (owner, seen_at) VALUES (?, ?) ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at').run(owner, now);
}

function saveReplay(db: Db, job: ReplayJob): void {
  db.prepare('INSERT OR REPLACE INTO replays (replay_id, tenant_id, started_at, scanned, body) VALUES (?, ?, ?, ?, ?)').run(
    job.replayId,
    job.filter.tenantId,
    job.startedAt,
    job.scanned ? 1 : 0,
    JSON.stringify(job),
  );
}

export const steps = {
  'invocations.record': record,
  'invocations.deposit': insert,
  'invocations.accept': accept,
  'invocations.claim': claim,
  'invocations.complete': complete,
  'invocations.giveBack': giveBack,
  'invocations.withdraw': withdraw,
  'invocations.bury': bury,
  'invocations.replay': replay,
  'invocations.takeOver': takeOver,
  'invocations.heartbeat': heartbeat,
  'invocations.saveReplay': saveReplay,
};
