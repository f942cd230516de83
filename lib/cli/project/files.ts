import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, join, resolve, sep } from 'node:path';
import { zipSync } from 'fflate';
import { DEFAULTS } from '../../core/defaults.js';
import { packageRoot } from '../connection.js';
import { CliError, usageError } from '../failure.js';
import { bytesText } from '../output.js';
import { PROJECT_FILE } from './read.js';
import type { FunctionSpec } from './schema.js';

export type Files = Record<string, Uint8Array>;

/** Never part of a function: of the tools around it, or secret. */
const LEFT_OUT = new Set(['.git', '.fns', '.DS_Store', '.fnsignore', '.env', '__pycache__', '.venv', '.pytest_cache', PROJECT_FILE]);

/** The files to upload, by their paths with `/`. */
export async function collect(name: string, spec: FunctionSpec, folder: string): Promise<Files> {
  if (spec.bundle !== undefined) return bundled(name, resolve(folder, spec.code, spec.bundle));
  const root = resolve(folder, spec.code);
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw usageError(`${name}: the code folder ${root} is not there.`, `functions.${name}.code in ${PROJECT_FILE} names it.`);
  const files: Files = {};
  let bytes = 0;
  for (const path of walk(root, ignoring(root))) {
    const content = new Uint8Array(readFileSync(join(root, path)));
    bytes += content.length;
    if (bytes > DEFAULTS.unpackedBytes)
      throw usageError(
        `${name}: ${root} holds more than ${bytesText(DEFAULTS.unpackedBytes)}.`,
        'Name what is not needed in a .fnsignore file.',
      );
    files[path] = content;
  }
  const count = Object.keys(files).length;
  if (count === 0) throw usageError(`${name}: the code folder ${root} is empty.`);
  if (count > DEFAULTS.archiveFiles)
    throw usageError(
      `${name}: ${count} files are more than the ${DEFAULTS.archiveFiles} that are allowed.`,
      'Bundle the code, or name what is not needed in a .fnsignore file.',
    );
  return files;
}

/** Lines of .fnsignore: names or paths, `*` for anything but `/`; `#` begins a comment. */
export function ignorePattern(line: string): RegExp | undefined {
  const text = line.replace(/#.*/, '').trim().replace(/^\.\//, '').replace(/\/$/, '');
  if (text === '') return undefined;
  const body = text
    .replace(/^\//, '')
    .replace(/[.+^${}()|[\]\\?]/g, '\\$&')
    .replace(/\*\*/g, '\0')
    .replace(/\*/g, '[^/]*')
    .replace(/\0/g, '.*');
  return new RegExp(text.includes('/') ? `^${body}$` : `(^|/)${body}$`);
}

function ignoring(root: string): (path: string) => boolean {
  const file = join(root, '.fnsignore');
  const patterns = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split(/\r?\n/)
        .flatMap((line) => ignorePattern(line) ?? [])
    : [];
  return (path) => patterns.some((pattern) => pattern.test(path));
}

function* walk(root: string, ignored: (path: string) => boolean, below = ''): Generator<string> {
  for (const entry of readdirSync(join(root, below), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below + entry.name;
    if (LEFT_OUT.has(entry.name) || entry.name.endsWith('.pyc') || path.endsWith('node_modules/.bin') || ignored(path)) continue;
    if (entry.isDirectory()) yield* walk(root, ignored, `${path}/`);
    // A link to a file goes as the file; one to a folder could lead in circles.
    else if (statSync(join(root, path), { throwIfNoEntry: false })?.isFile()) yield path.split(sep).join('/');
  }
}

/** One CommonJS file with all that it imports, and its source map. */
async function bundled(name: string, entry: string): Promise<Files> {
  if (!existsSync(entry)) throw usageError(`${name}: ${entry} is not there.`, `functions.${name}.bundle in ${PROJECT_FILE} names it.`);
  if (!['.ts', '.mts', '.js', '.mjs', '.tsx'].includes(extname(entry)))
    throw usageError(`${name}: ${entry} is neither TypeScript nor JavaScript.`);
  const { build } = createRequire(join(packageRoot(), 'package.json'))('esbuild') as typeof import('esbuild');
  try {
    const built = await build({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      write: false,
      logLevel: 'silent',
      sourcemap: 'inline',
      outfile: 'index.js',
    });
    return { 'index.js': (built.outputFiles[0] as { contents: Uint8Array }).contents };
  } catch (error) {
    const { errors } = error as { errors?: { text: string; location?: { file: string; line: number; column: number } | null }[] };
    if (!errors) throw error;
    const told = errors.map(({ text, location }) => (location ? `${location.file}:${location.line}:${location.column} ${text}` : text));
    throw new CliError(`${name}: bundling failed.\n     ${told.join('\n     ')}`);
  }
}

/** The same files give the same archive: its times are fixed. */
export const zipped = (files: Files): Uint8Array => zipSync(files, { level: 6, mtime: new Date('1980-01-02T00:00:00Z') });

const INLINE_BYTES = 256 * 1024;

/** As text, where all of it is text and small: then settings and code go up in one call. */
export function inlined(files: Files): Record<string, string> | undefined {
  const text: Record<string, string> = {};
  let bytes = 0;
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (const [path, content] of Object.entries(files)) {
    bytes += content.length;
    if (bytes > INLINE_BYTES) return undefined;
    try {
      text[path] = utf8.decode(content);
    } catch {
      return undefined;
    }
  }
  return text;
}
