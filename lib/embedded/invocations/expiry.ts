import { DEFAULTS } from '../../core/defaults.js';
import type { Database } from '../store/database.js';
import { type ExpiryPiece, PIECE_ROWS } from '../store/expiry.js';
import type { Blobs } from './blobs.js';

/** Silent for so long, an owner holds nothing any more; a replay that ended so long ago is not asked for. */
const FORGOTTEN_AFTER_MS = 7 * 24 * 3_600_000;
const BLOBS_EVERY_MS = 3_600_000;

/** What of invocations grows old: records after 30 d, dead letters after 14 d, keys after 24 h, files that no record names. */
export function invocationExpiry(db: Database, blobs: Blobs): ExpiryPiece[] {
  let after = '';
  let blobsAt = 0;
  return [
    async (now) =>
      (await db.write('invocations.expireRecords', { before: now - DEFAULTS.invocationTtlMs, limit: PIECE_ROWS })) === PIECE_ROWS,
    async (now) =>
      (await db.write('invocations.expireDeadLetters', { before: now - DEFAULTS.deadLetterTtlMs, limit: PIECE_ROWS })) === PIECE_ROWS,
    async (now) => {
      const next = await db.write('invocations.expireKeys', { now, after, limit: PIECE_ROWS });
      after = next ?? '';
      return next !== undefined;
    },
    async (now) => {
      await db.write('invocations.expireOwners', { before: now - FORGOTTEN_AFTER_MS });
      return false;
    },
    async (now) => {
      if (now - blobsAt < BLOBS_EVERY_MS) return false;
      blobsAt = now;
      await blobs.removeOrphans((digests) => db.read('invocations.namedBlobs', digests));
      return false;
    },
  ];
}
