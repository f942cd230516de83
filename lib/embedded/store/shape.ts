import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';

type Shape = Map<string, string[]>;

function shapeOf(db: DatabaseSyncInstance): Shape {
  const rows = db
    .prepare(
      `SELECT t.name AS "table", c.name AS "column" FROM sqlite_schema t, pragma_table_info(t.name) c
       WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid`,
    )
    .all() as { table: string; column: string }[];
  const shape: Shape = new Map();
  for (const { table, column } of rows) shape.set(table, [...(shape.get(table) ?? []), column]);
  return shape;
}

/**
 * Refuses a database whose tables have other columns than this code expects: `CREATE TABLE IF NOT EXISTS` would pass over
 * them in silence, and the first call that meets the difference would fail instead of the start. New tables are no difference.
 */
export function requireShape(db: DatabaseSyncInstance, schemas: readonly string[]): void {
  const there = shapeOf(db);
  if (there.size === 0) return;
  const model = new DatabaseSync(':memory:');
  for (const schema of schemas) model.exec(schema);
  const wanted = shapeOf(model);
  model.close();
  for (const [table, columns] of wanted) {
    const found = there.get(table);
    const odd = found && [...columns, ...found].find((each) => columns.includes(each) !== found.includes(each));
    if (odd === undefined) continue;
    throw new Error(
      `the data folder was made by another version of FNS (table ${table}, column ${odd}): start that version, or choose another folder with FNS_DATA_DIR`,
    );
  }
}
