/** What a change was, for its audit record: fields before and after, and of secrets the names only. */
export interface Differences {
  before: Record<string, unknown>;
  after: Record<string, unknown>;
}

/** @param secretMaps fields whose values must not be told: their changed names are */
export function differences(
  before: object,
  after: object,
  secretMaps: readonly string[] = [],
  ignored: readonly string[] = [],
): Differences {
  const found: Differences = { before: {}, after: {} };
  const old = before as Record<string, unknown>;
  const fresh = after as Record<string, unknown>;
  for (const field of new Set([...Object.keys(old), ...Object.keys(fresh)])) {
    if (ignored.includes(field) || JSON.stringify(old[field]) === JSON.stringify(fresh[field])) continue;
    const tell = secretMaps.includes(field) ? changedNames : (value: unknown) => value;
    found.before[field] = tell(old[field], fresh[field]) ?? null;
    found.after[field] = tell(fresh[field], old[field]) ?? null;
  }
  return found;
}

/** Names whose value is not the same on the other side. */
const changedNames = (side: unknown, other: unknown): string[] => {
  const values = (side ?? {}) as Record<string, string>;
  const others = (other ?? {}) as Record<string, string>;
  return Object.keys(values).filter((name) => values[name] !== others[name]);
};
