import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

export interface CodeFault {
  file: string;
  line?: number;
  message: string;
}

const isFile = (path: string): boolean => existsSync(path) && statSync(path).isFile();

/** Names that a person may have meant, for the message. */
function whatIsThere(folder: string): string {
  const names = readdirSync(folder, { withFileTypes: true }).map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  const shown = names.sort().slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}

/** `src/app.go` is the export `go` of src/app.js, .mjs or .cjs (or of the folder src/app): up to the first dot of its last part. */
function nodeFiles(handler: string): string[] | undefined {
  const last = basename(handler);
  const dot = last.indexOf('.');
  if (dot < 1 || dot === last.length - 1) return undefined;
  const path = handler.slice(0, handler.length - last.length) + last.slice(0, dot);
  return [`${path}.js`, `${path}.mjs`, `${path}.cjs`, path, `${path}/index.js`, `${path}/package.json`];
}

/** `pkg/mod.go` and `pkg.mod.go` are the function `go` of pkg/mod.py or of the package pkg/mod. */
function pythonFiles(handler: string): string[] | undefined {
  const dot = handler.lastIndexOf('.');
  if (dot < 1 || dot === handler.length - 1) return undefined;
  const path = handler.slice(0, dot).replaceAll('.', '/').replace(/^\/+/, '');
  return [`${path}.py`, `${path}/__init__.py`];
}

/**
 * The file that a handler names must be there; whether it exports the handler is known when it is loaded.
 * @returns undefined where it is there
 */
export function handlerFileFault(kind: 'node' | 'python', handler: string, folder: string): CodeFault | undefined {
  const files = kind === 'node' ? nodeFiles(handler) : pythonFiles(handler);
  const form =
    kind === 'node'
      ? 'file.function, such as index.handler or src/app.handler'
      : 'module.function, such as index.handler or package.module.handler';
  if (!files || files.some((path) => path.split('/').includes('..')))
    return { file: 'handler', message: `'${handler.slice(0, 200)}' is not of the form ${form}` };
  if (files.some((path) => isFile(join(folder, path)))) return undefined;
  const [file = ''] = files;
  const wanted = kind === 'node' ? `${files.slice(0, 3).join(', ')}` : files.join(' or ');
  return { file, message: `the handler '${handler.slice(0, 200)}' needs this file (${wanted}); the code has ${whatIsThere(folder)}` };
}
