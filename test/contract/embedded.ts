import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../lib/embedded/store/database.js';

/** A real store in a folder of its own, and its end. */
export async function embeddedStore(): Promise<{ database: Database; dataDir: string; close(): Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'fns-contract-'));
  const database = await Database.open(dataDir);
  return {
    database,
    dataDir,
    close: async () => {
      await database.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
