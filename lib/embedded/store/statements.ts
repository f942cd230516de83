import type { DatabaseSyncInstance } from '@photostructure/sqlite';

type Statement = ReturnType<DatabaseSyncInstance['prepare']>;

/** Makes `prepare` give the same statement for the same text: preparing costs more than most of our steps. */
export function cacheStatements(db: DatabaseSyncInstance): DatabaseSyncInstance {
  const statements = new Map<string, Statement>();
  const prepare = db.prepare.bind(db);
  const cached = (sql: string): Statement => {
    let statement = statements.get(sql);
    if (!statement) {
      statement = prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  // The method is read-only on the prototype, so assigning to it would throw.
  Object.defineProperty(db, 'prepare', { value: cached });
  return db;
}
