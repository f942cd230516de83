/**
 * `invocations` is clustered by request id: ids begin with the time of acceptance, so new rows go to its end, and
 * expiry takes them from its beginning. Indexes are partial where only few rows are looked for, so that the common
 * row, a call that has succeeded, stands in one index only.
 *
 * Codes of `state`: index in STATES (3 SUCCEEDED, 6 DEAD); of `priority`: index in PRIORITIES.
 */
export const schema = `
CREATE TABLE IF NOT EXISTS invocations (
  request_id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  function_id TEXT NOT NULL,
  state INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  payload_bytes INTEGER NOT NULL,
  ready_at INTEGER,
  lease_owner TEXT,
  void_at INTEGER,
  dead_at INTEGER,
  dead_reason TEXT,
  error_type TEXT,
  replay_id TEXT,
  key_slot TEXT,
  blobs TEXT,
  payload TEXT,
  result TEXT,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS invocations_of_function ON invocations (function_id, request_id);
CREATE INDEX IF NOT EXISTS invocations_not_succeeded ON invocations (function_id, request_id) WHERE state <> 3;
CREATE INDEX IF NOT EXISTS invocations_ready ON invocations (tenant_id, function_id, priority, ready_at, request_id, payload_bytes)
  WHERE ready_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS invocations_leased ON invocations (lease_owner, void_at) WHERE lease_owner IS NOT NULL;
CREATE INDEX IF NOT EXISTS invocations_dead ON invocations (function_id, dead_at, request_id) WHERE dead_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS invocations_dead_by_age ON invocations (dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS invocations_replayed ON invocations (replay_id, state) WHERE replay_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS invocation_payloads (request_id TEXT PRIMARY KEY, payload TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invocation_keys (
  slot TEXT PRIMARY KEY,
  request_id TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invocation_blobs (
  digest TEXT NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (digest, request_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners (owner TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replays (
  replay_id TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  scanned INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replays_unfinished ON replays (replay_id) WHERE scanned = 0;
`;
