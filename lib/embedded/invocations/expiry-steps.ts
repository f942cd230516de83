import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { timePrefix } from '../../core/ids.js';
import { remove } from './records.js';

type Db = DatabaseSyncInstance;

/** Ended before `before` and no dead letter: oldest first, at most `limit`. The number removed. */
function expireRecords(db: Db, { before, limit }: { before: number; limit: number }): number {
  return removeAll(
    db,
    db
      .prepare('SELECT request_id FROM invocations WHERE request_id < ? AND state BETWEEN 3 AND 5 ORDER BY request_id LIMIT ?')
      .all(`req_${timePrefix(before)}`, limit),
  );
}

/** Dead letters count from their death. */
function expireDeadLetters(db: Db, { before, limit }: { before: number; limit: number }): number {
  return removeAll(
    db,
    db.prepare('SELECT request_id FROM invocations WHERE dead_at IS NOT NULL AND dead_at < ? ORDER BY dead_at LIMIT ?').all(before, limit),
  );
}

function removeAll(db: Db, found: { request_id: string }[]): number {
  for (const { request_id } of found) remove(db, request_id);
  return found.length;
}

/**
 * Keys have no index by time, which every keyed call would pay for; the job walks over them instead, piece by piece.
 * Answers where to go on, or nothing at the end.
 */
function expireKeys(db: Db, { now, after, limit }: { now: number; after: string; limit: number }): string | undefined {
  const piece = db.prepare('SELECT slot, expires_at FROM invocation_keys WHERE slot > ? ORDER BY slot LIMIT ?').all(after, limit) as {
    slot: string;
    expires_at: number;
  }[];
  for (const { slot, expires_at } of piece) if (expires_at <= now) db.prepare('DELETE FROM invocation_keys WHERE slot = ?').run(slot);
  return piece.length < limit ? undefined : piece.at(-1)!.slot;
}

/** Owners that have been silent for this long hold no lease that is not void, and finished replays are not asked for any more. */
function expireOwners(db: Db, { before }: { before: number }): void {
  db.prepare(
    'DELETE FROM owners WHERE seen_at < ? AND owner NOT IN (SELECT lease_owner FROM invocations WHERE lease_owner IS NOT NULL)',
  ).run(before);
  db.prepare('DELETE FROM replays WHERE scanned = 1 AND started_at < ?').run(before);
}

export const expirySteps = {
  'invocations.expireRecords': expireRecords,
  'invocations.expireDeadLetters': expireDeadLetters,
  'invocations.expireKeys': expireKeys,
  'invocations.expireOwners': expireOwners,
};
