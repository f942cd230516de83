import type { Concern } from '../store/concern.js';
import { queries } from './queries.js';
import { steps } from './steps.js';

/**
 * `ledger` is the truth and only grows. `usage_hour` is a sum over it that can be made again at any time.
 * `hour` (epoch hours) is where an entry counts: the hour of its end, or the first open hour if that month is closed.
 * `adjustment` holds signed corrections; nothing is ever edited.
 */
const schema = `
CREATE TABLE IF NOT EXISTS ledger (
  request_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  tenant_id TEXT NOT NULL,
  function_id TEXT NOT NULL,
  version TEXT NOT NULL,
  memory_mb INTEGER NOT NULL,
  billed_ms INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  first INTEGER NOT NULL,
  PRIMARY KEY (request_id, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_by_end ON ledger (ended_at);
CREATE INDEX IF NOT EXISTS ledger_late ON ledger (hour) WHERE hour <> ended_at / 3600000;

CREATE TABLE IF NOT EXISTS usage_hour (
  tenant_id TEXT NOT NULL,
  hour INTEGER NOT NULL,
  function_id TEXT NOT NULL,
  version TEXT NOT NULL,
  requests INTEGER NOT NULL,
  billed_ms INTEGER NOT NULL,
  mb_ms INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, hour, function_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS usage_hour_by_hour ON usage_hour (hour);

CREATE TABLE IF NOT EXISTS adjustment (
  adjustment_id TEXT PRIMARY KEY,
  request_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  tenant_id TEXT NOT NULL,
  function_id TEXT NOT NULL,
  version TEXT NOT NULL,
  requests INTEGER NOT NULL,
  billed_ms INTEGER NOT NULL,
  mb_ms INTEGER NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  hour INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS adjustment_by_request ON adjustment (request_id);
CREATE INDEX IF NOT EXISTS adjustment_by_tenant ON adjustment (tenant_id, hour);

CREATE TABLE IF NOT EXISTS price_plan (
  effective_from TEXT NOT NULL,
  revision INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (effective_from, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS invoice (
  tenant_id TEXT NOT NULL,
  month TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant_id, month)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS metering_state (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metering_boot (at INTEGER PRIMARY KEY) STRICT;
`;

export { insertLedger } from './ledger.js';

export const meteringTables = { schema, steps, queries } satisfies Concern;
