import { DEFAULTS } from '../defaults.js';
import { type FieldFault, invalid } from '../refusal.js';

/**
 * Rules for the files of a function, whether they came in an archive or inline: every path stays inside the
 * function's folder on every system, and no input is larger than we want to hold.
 */

const encoder = new TextEncoder();

/** Why the path is refused; undefined where it is fine. */
export function pathFault(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (!isWellFormed(path)) return 'is not valid Unicode';
  if (encoder.encode(path).length > DEFAULTS.pathBytes) return `is longer than ${DEFAULTS.pathBytes} bytes`;
  if (hasControl(path)) return 'holds a control character';
  if (path.includes('\\')) return 'holds a backslash; folders are separated by /';
  if (path.startsWith('/')) return 'is absolute; paths are relative to the function’s folder';
  if (/^[a-zA-Z]:/.test(path)) return 'begins with a drive letter';
  const parts = path.split('/');
  if (parts.includes('..')) return 'leads out of the function’s folder (..)';
  if (parts.some((part) => part === '.' || part === '')) return 'has an empty part or a single dot in it';
  if (parts.some((part) => encoder.encode(part).length > 255)) return 'has a part longer than 255 bytes';
  if (parts.length > DEFAULTS.pathDepth) return `is more than ${DEFAULTS.pathDepth} folders deep`;
  return undefined;
}

const hasControl = (path: string): boolean => [...path].some((sign) => sign < ' ' || sign === '\u007f');

/** Lone surrogates have no UTF-8 form: encodeURIComponent throws on them. */
function isWellFormed(text: string): boolean {
  try {
    encodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** Paths that cannot stand side by side: the same one twice, or a file where another path needs a folder. */
export function collision(paths: Iterable<string>): string | undefined {
  const files = new Set<string>();
  for (const path of paths) {
    if (files.has(path)) return path;
    files.add(path);
  }
  for (const path of files) {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      if (files.has(path.slice(0, slash))) return path;
    }
  }
  return undefined;
}

const shown = (path: string): string => JSON.stringify(path.slice(0, 120));

/** A fault of one entry, for the 422. */
export const entryFault = (path: string, why: string): FieldFault => ({ field: 'code', message: `${shown(path)} ${why}` });

/** Inline code as bytes, checked. */
export function inlineFiles(files: Record<string, string>): ReadonlyMap<string, Uint8Array> {
  const bytes = new Map<string, Uint8Array>();
  const faults: FieldFault[] = [];
  let total = 0;
  for (const [path, text] of Object.entries(files)) {
    const why = pathFault(path);
    if (why) faults.push({ ...entryFault(path, why), field: 'code.files' });
    const content = encoder.encode(text);
    total += content.length;
    bytes.set(path, content);
  }
  const twice = collision(bytes.keys());
  if (twice) faults.push({ ...entryFault(twice, 'stands where another path needs a folder'), field: 'code.files' });
  if (bytes.size === 0) faults.push({ field: 'code.files', message: 'holds no file' });
  if (bytes.size > DEFAULTS.archiveFiles)
    faults.push({ field: 'code.files', message: 'has too many files', allowed: `at most ${DEFAULTS.archiveFiles}` });
  if (total > DEFAULTS.archiveBytes)
    faults.push({ field: 'code.files', message: `has ${total} bytes`, allowed: `at most ${DEFAULTS.archiveBytes} bytes` });
  if (faults.length > 0) throw invalid(faults.slice(0, 20));
  return bytes;
}
