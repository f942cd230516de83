import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { type Document, isMap, isPair, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { ZodError } from 'zod';
import { Refusal } from '../../core/refusal.js';
import { CliError, EXIT, usageError } from '../failure.js';
import { closest } from './closest.js';
import { type ProjectSpec, projectSchema } from './schema.js';
import { settledTrigger } from './triggers.js';

export const PROJECT_FILE = 'fns.yaml';

export interface Project extends ProjectSpec {
  /** Folder of fns.yaml: paths in it start here. */
  folder: string;
  file: string;
}

/** Reads and checks fns.yaml; every mistake is told with its line. `${NAME}` in values of env is taken from `env`. */
export function readProject(path: string, env: NodeJS.ProcessEnv): Project {
  const file = resolve(path);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : `can't be read (${(error as NodeJS.ErrnoException).code})`;
    throw usageError(`${relative(process.cwd(), file) || file} ${why}.`, '`fns init <folder>` makes a project; --file names another file.');
  }
  return { ...parseProject(text, relative(process.cwd(), file) || file, env), folder: dirname(file), file };
}

/** @param shown the file's name in messages. */
export function parseProject(text: string, shown: string, env: NodeJS.ProcessEnv): ProjectSpec {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const place = (offset: number | undefined): string => {
    if (offset === undefined) return shown;
    const { line, col } = lines.linePos(offset);
    return `${shown}:${line}:${col}`;
  };
  const broken = document.errors.map((error) => `${place(error.pos[0])} ${error.message}`);
  if (broken.length > 0) throw mistakes(broken);
  const checked = projectSchema.safeParse(document.toJS() ?? {});
  if (!checked.success)
    throw mistakes(faultsOf(checked.error).map(({ path, key, message }) => `${place(offsetOf(document, path, key))} ${message}`));
  const at = (path: PropertyKey[]): string => place(offsetOf(document, path));
  const refused = triggerFaults(checked.data).map(({ path, message }) => `${at(path)} ${message}`);
  if (refused.length > 0) throw mistakes(refused);
  return withEnvironment(checked.data, env, at);
}

/** What the platform would refuse of triggers: schedules, paths, names. */
function triggerFaults(project: ProjectSpec): Fault[] {
  return Object.entries(project.functions).flatMap(([name, { triggers = [] }]) =>
    triggers.flatMap((trigger, index): Fault[] => {
      try {
        settledTrigger(trigger);
        return [];
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return (error.more.errors ?? []).map(({ field, message, allowed }) => ({
          path: ['functions', name, 'triggers', index, ...field.split('.')],
          message: `${field} ${message}${allowed ? ` (allowed: ${allowed})` : ''}`,
        }));
      }
    }),
  );
}

const mistakes = (all: string[]): CliError => new CliError(all.join('\n     '), EXIT.usage, 'Nothing was changed.', { errors: all });

interface Fault {
  path: PropertyKey[];
  /** The key itself is wrong, not its value. */
  key?: string;
  message: string;
}

type Issue = ZodError['issues'][number];

/** Unknown keys first: a misspelt one is why another seems to be missing. */
const faultsOf = (error: ZodError): Fault[] =>
  error.issues.flatMap((issue) => faultsOfIssue(issue, [])).sort((a, b) => Number(b.key !== undefined) - Number(a.key !== undefined));

function faultsOfIssue(issue: Issue, before: PropertyKey[]): Fault[] {
  const path = [...before, ...issue.path];
  const field = path.map(String).join('.') || 'the file';
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path, key, message: `'${key}' is not known here${guess(key, path)}` }));
  if (issue.code === 'invalid_key')
    return issue.issues.map(({ message }) => ({
      path: path.slice(0, -1),
      key: String(path.at(-1)),
      message: `'${String(path.at(-1))}' ${message}`,
    }));
  if (issue.code === 'invalid_value') return [{ path, message: `${field} must be one of ${issue.values.map(String).join(', ')}` }];
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) return [{ path, message: `${field} is missing` }];
  if (issue.code === 'invalid_type')
    return [
      {
        path,
        message: `${field} ${issue.message.replace(/^Invalid input: expected (\S+), received (\S+)$/, 'must be of type $1, not $2')}`,
      },
    ];
  return [{ path, message: `${field} ${issue.message}` }];
}

/** The keys that may stand at a path, as fns.yaml is laid out. */
function knownAt(path: PropertyKey[]): string[] {
  let schema: unknown = projectSchema;
  for (const step of path) {
    schema = bare(schema);
    const { shape, valueType, element, options } = (schema as { def: Record<string, unknown> }).def as {
      shape?: Record<string, unknown>;
      valueType?: unknown;
      element?: unknown;
      options?: unknown[];
    };
    if (shape) schema = shape[String(step)];
    else schema = valueType ?? element ?? options?.[0];
    if (schema === undefined) return [];
  }
  const { shape, options } = (bare(schema) as { def: { shape?: Record<string, unknown>; options?: unknown[] } }).def;
  const shapes = shape
    ? [shape]
    : (options ?? []).map((option) => (option as { def?: { shape?: Record<string, unknown> } }).def?.shape ?? {});
  return [...new Set(shapes.flatMap((each) => Object.keys(each)))];
}

function bare(schema: unknown): unknown {
  const inner = (schema as { def?: { innerType?: unknown } }).def?.innerType;
  return inner === undefined ? schema : bare(inner);
}

function guess(key: string, path: PropertyKey[]): string {
  const known = knownAt(path);
  const near = closest(key, known);
  if (near) return `; did you mean '${near}'?`;
  return known.length > 0 ? ` (known: ${known.join(', ')})` : '';
}

/** Where the value at the path begins, or its key; the nearest thing above it where it is missing. */
function offsetOf(document: Document, path: PropertyKey[], key?: string): number | undefined {
  const steps = path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  for (let length = steps.length; length >= 0; length -= 1) {
    const node = (length === 0 ? document.contents : document.getIn(steps.slice(0, length), true)) as Node | null | undefined;
    if (!node) continue;
    if (key !== undefined && length === steps.length && isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === key);
      const at = (pair?.key as Node | undefined)?.range?.[0];
      if (at !== undefined) return at;
    }
    // Of a map that lacks something the line of its own key says more than that of its first entry.
    if (length > 0 && length < steps.length && typeof steps[length - 1] === 'string')
      return offsetOf(document, steps.slice(0, length - 1), String(steps[length - 1]));
    return node.range?.[0];
  }
  return undefined;
}

function withEnvironment(project: ProjectSpec, env: NodeJS.ProcessEnv, place: (path: PropertyKey[]) => string): ProjectSpec {
  const missing: string[] = [];
  const functions = Object.fromEntries(
    Object.entries(project.functions).map(([name, spec]) => {
      const entries = Object.entries(spec.env ?? {}).map(([variable, value]) => {
        const filled = value.replace(/\$(\$?)\{(\w+)\}/g, (whole, escaped: string, from: string) => {
          if (escaped) return whole.slice(1);
          const found = env[from];
          if (found === undefined) missing.push(`${place(['functions', name, 'env', variable])} \${${from}} is not set in the environment`);
          return found ?? '';
        });
        return [variable, filled];
      });
      return [name, spec.env ? { ...spec, env: Object.fromEntries(entries) } : spec];
    }),
  );
  if (missing.length > 0) throw mistakes(missing);
  return { ...project, functions };
}
