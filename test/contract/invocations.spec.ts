import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import type { LedgerEntry } from '../../lib/core/metering/model.js';
import { EmbeddedInvocations } from '../../lib/embedded/invocations/invocations.js';
import { Database } from '../../lib/embedded/store/database.js';
import { invocationStoreContract } from './invocations.contract.js';

invocationStoreContract('SQLite', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-invocations-'));
  const db = await Database.open(folder);
  return {
    store: new EmbeddedInvocations(db),
    ledger: async (requestId) => ledgerOf(join(folder, 'fns.db'), requestId),
    close: async () => {
      await db.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
});

function ledgerOf(path: string, requestId: string): LedgerEntry[] {
  const file = new DatabaseSync(path, { readOnly: true });
  try {
    return file
      .prepare(
        `SELECT request_id AS requestId, attempt, tenant_id AS tenantId, function_id AS functionId, version,
           memory_mb AS memoryMb, billed_ms AS billedMs, ended_at AS endedAt, first
         FROM ledger WHERE request_id = ? ORDER BY attempt`,
      )
      .all(requestId)
      .map((entry) => ({ ...entry, first: entry.first === 1 }) as LedgerEntry);
  } finally {
    file.close();
  }
}
