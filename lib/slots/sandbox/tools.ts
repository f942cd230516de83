import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/local/sbin'];

/** Full path of a system program, looked for in system folders only: a PATH could name somebody else's. */
export function systemTool(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A word for `sh`. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

export const isRoot = (): boolean => process.getuid?.() === 0;
