import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

let found: string | undefined;

/** The package's folder, wherever this code was bundled to: the nearest one above whose package.json is named `fns`. */
export function packageRoot(): string {
  if (found) return found;
  for (let folder = __dirname; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'fns') {
      found = folder;
      return folder;
    }
    if (folder === dirname(folder)) throw new Error(`No package.json named fns above ${__dirname}.`);
  }
}

/** A bundle made by scripts/build.mjs: threads and slots need files of their own. */
export const distFile = (name: string): string => join(packageRoot(), 'dist', name);
