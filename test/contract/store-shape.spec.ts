import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { PlatformFault } from '../../lib/core/refusal.js';
import { Database } from '../../lib/embedded/store/database.js';

describe('a data folder of another version', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-shape-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const change = (sql: string): void => {
    const db = new DatabaseSync(join(folder, 'fns.db'));
    db.exec(sql);
    db.close();
  };
  const open = async (): Promise<string> => {
    try {
      await (await Database.open(folder)).close();
      return 'opened';
    } catch (error) {
      expect(error).toBeInstanceOf(PlatformFault);
      return (error as Error).message;
    }
  };

  it('opens as long as its tables are those of this version, or some of them', async () => {
    expect(await open()).toBe('opened');
    expect(await open()).toBe('opened');
    change('DROP TABLE audit');
    expect(await open()).toBe('opened');
  });

  it('is refused at the start, with what differs, and let go again', async () => {
    change('ALTER TABLE audit ADD COLUMN mood TEXT');
    expect(await open()).toMatch(/made by another version of FNS \(table audit, column mood\).*FNS_DATA_DIR/);
    change('ALTER TABLE audit DROP COLUMN mood; ALTER TABLE functions ADD COLUMN extra TEXT');
    expect(await open()).toMatch(/table functions, column extra/);
    change('ALTER TABLE functions DROP COLUMN extra');
    expect(await open()).toBe('opened');
  });
});
