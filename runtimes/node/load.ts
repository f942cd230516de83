import { existsSync, readFileSync, statSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { constants, Script } from 'node:vm';
import type { ErrorInfo } from '../../lib/core/invocations/model.js';
import type { Assignment } from '../../lib/slots/frames.js';
import { errorInfo } from './errors.js';

// biome-ignore lint/complexity/noBannedTypes: tenant code is whatever it is
export type Handler = Function;

/** Why code could not be loaded, as the tenant is told. */
export class LoadError extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

/** Node's loader, as far as it is used here. */
interface Loader {
  _initPaths(): void;
  _cache: Record<string, unknown>;
  wrap(source: string): string;
  prototype: { _compile(this: NodeModule, content: string, filename: string): unknown };
}
interface NodeModule {
  exports: unknown;
  require(id: string): unknown;
}
const loader = Module as unknown as Loader;

/** Loads `folder/file.name.space` as Lambda does: the file by its name up to the first dot of its last part, then its property. */
export async function loadHandler(assignment: Assignment): Promise<Handler> {
  const { code, handler } = assignment;
  const file = basename(handler);
  const dot = file.indexOf('.');
  if (dot < 1 || dot === file.length - 1) {
    throw new LoadError('Runtime.MalformedHandlerName', `The handler "${handler}" is not of the form file.function.`);
  }
  loader._initPaths();
  if (assignment.cache) useCompiled(code, assignment.cache);
  const path = join(code, handler.slice(0, handler.length - file.length), file.slice(0, dot));
  if (relative(code, path).startsWith('..')) {
    throw new LoadError('Runtime.MalformedHandlerName', `The handler "${handler}" points out of the code.`);
  }
  const exported = await loadModule(path, handler);
  return property(exported, file.slice(dot + 1), handler);
}

async function loadModule(path: string, handler: string): Promise<unknown> {
  const file = [path, `${path}.js`, `${path}.mjs`, `${path}.cjs`].find(isFile);
  if (file && isEsModule(file)) return import(pathToFileURL(file).href);
  try {
    return createRequire(join(dirname(path), 'noop.js'))(file ?? path);
  } catch (error) {
    const { code, message } = (error ?? {}) as NodeJS.ErrnoException;
    if (code === 'MODULE_NOT_FOUND' && !file) {
      throw new LoadError('Runtime.ImportModuleError', `Cannot find the module "${basename(path)}" of the handler "${handler}".`);
    }
    if (code === 'ERR_REQUIRE_ESM' && file) return import(pathToFileURL(file).href);
    if (code === 'MODULE_NOT_FOUND') throw new LoadError('Runtime.ImportModuleError', String(message));
    throw error;
  }
}

function property(exported: unknown, path: string, handler: string): Handler {
  const names = path.split('.');
  const within = (root: unknown): unknown =>
    names.reduce<unknown>(
      (value, name) => (value === null || value === undefined ? undefined : (value as Record<string, unknown>)[name]),
      root,
    );
  // A CommonJS file that was imported has its names under `default` where they could not be seen by a scan of its text.
  const found = within(exported) ?? within((exported as { default?: unknown } | null)?.default);
  if (typeof found === 'function') return found as Handler;
  throw new LoadError('Runtime.HandlerNotFound', `The handler "${handler}" is ${found === undefined ? 'not exported' : 'no function'}.`);
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

function isEsModule(file: string): boolean {
  if (file.endsWith('.mjs')) return true;
  if (!file.endsWith('.js')) return false;
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) return typeOf(manifest) === 'module';
    if (folder === dirname(folder) || basename(folder) === 'node_modules') return false;
  }
}

function typeOf(manifest: string): unknown {
  try {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { type?: unknown }).type;
  } catch {
    return undefined;
  }
}

/**
 * Uses what V8 compiled at deploy: `<cache>/<path within the code>.v8` is the cached data of `Module.wrap(source)`.
 * V8 refuses data of another version or other flags by itself; the source is compiled then, as without.
 */
function useCompiled(code: string, cache: string): void {
  const root = resolve(code) + sep;
  const compile = loader.prototype._compile;
  loader.prototype._compile = function (this: NodeModule, content: string, filename: string): unknown {
    const run =
      filename.startsWith(root) && !content.startsWith('#!')
        ? compiled(content, filename, join(cache, filename.slice(root.length)))
        : undefined;
    if (!run) return compile.call(this, content, filename);
    const own = createRequire(filename);
    const require = Object.assign((id: string) => this.require(id), {
      resolve: own.resolve,
      cache: own.cache,
      main: own.main,
      extensions: own.extensions,
    });
    return run.call(this.exports, this.exports, require, this, filename, dirname(filename));
  };
}

let ownMark: Buffer | undefined;
const flagsMark = (): Buffer => {
  ownMark ??= new Script('0').createCachedData();
  return ownMark;
};

function compiled(content: string, filename: string, cachePath: string): Handler | undefined {
  try {
    const cachedData = readFileSync(`${cachePath}.v8`);
    // Bytes 12…15 are a hash of V8's flags, and the heap limit is one of them; it has no part in what was compiled.
    flagsMark().copy(cachedData, 12, 12, 16);
    const importModuleDynamically = (constants as unknown as { USE_MAIN_CONTEXT_DEFAULT_LOADER: never }).USE_MAIN_CONTEXT_DEFAULT_LOADER;
    const script = new Script(loader.wrap(content), { filename, cachedData, importModuleDynamically });
    return script.cachedDataRejected ? undefined : (script.runInThisContext() as Handler);
  } catch {
    return undefined;
  }
}

/** A failed load as the tenant is told. */
export function loadErrorInfo(error: unknown): ErrorInfo {
  if (error instanceof LoadError) return { type: error.type, message: error.message, stack: [] };
  const info = errorInfo(error);
  return error instanceof SyntaxError ? { ...info, type: 'Runtime.UserCodeSyntaxError' } : info;
}
