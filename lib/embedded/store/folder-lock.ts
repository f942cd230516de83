import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';

/** Someone else holds the data folder. The message is for the person who starts the platform. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse';
}

export interface FolderLock {
  release(): void;
}

/**
 * One data folder, one platform: an exclusive SQLite transaction, held open. The kernel drops its lock when the
 * process ends, however it ends; a pid file would refuse the restart after kill -9. The pid beside it is for people only.
 */
export function lockFolder(dataDir: string): FolderLock {
  const pidFile = join(dataDir, 'lock.pid');
  const db = new DatabaseSync(join(dataDir, 'lock.db'));
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if ((error as { errcode?: number }).errcode !== 5) throw error;
    throw new FolderInUse(
      `The data folder ${dataDir} is in use by another platform${holder(pidFile)}. Stop that one, or set FNS_DATA_DIR to another folder.`,
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`);
  return {
    release() {
      rmSync(pidFile, { force: true });
      db.exec('ROLLBACK');
      db.close();
    },
  };
}

function holder(pidFile: string): string {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
    return pid > 0 ? ` (process ${pid})` : '';
  } catch {
    return '';
  }
}
