import { invalidField } from '../refusal.js';
import type { HttpTrigger, Method } from './model.js';

/** One part of a route's path. `greedy` takes one segment or more and stands last. */
export type Segment = { kind: 'literal'; text: string } | { kind: 'param'; name: string } | { kind: 'greedy'; name: string };

const MAX_SEGMENTS = 32;
const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;
const ALLOWED = "'/hello/{name}', '/files/{path+}' (greedy, last), at most 32 parts and 512 signs";

/** Throws a Refusal that says what is wrong with a path. */
export function parsePath(path: string): Segment[] {
  const wrong = (message: string) => invalidField('path', message, ALLOWED);
  if (path.length > 512 || !path.startsWith('/')) throw wrong("must begin with '/' and be at most 512 signs long");
  if (path === '/') return [];
  const texts = path.slice(1).split('/');
  if (texts.length > MAX_SEGMENTS) throw wrong(`has more than ${MAX_SEGMENTS} parts`);
  const names = new Set<string>();
  return texts.map((text, at) => {
    const segment = parseSegment(text, at === texts.length - 1);
    if (typeof segment === 'string') throw wrong(segment);
    if (segment.kind !== 'literal') {
      if (names.has(segment.name)) throw wrong(`names '{${segment.name}}' twice`);
      names.add(segment.name);
    }
    return segment;
  });
}

function parseSegment(text: string, last: boolean): Segment | string {
  const braced = /^\{(.*?)(\+?)\}$/.exec(text);
  if (braced) {
    const name = braced[1] ?? '';
    if (!NAME.test(name)) return `'{${name}}' is no name of a parameter (a letter or _, then letters, digits, _ and -)`;
    if (braced[2] === '') return { kind: 'param', name };
    return last ? { kind: 'greedy', name } : `'{${name}+}' must be the last part`;
  }
  if (/[{}]/.test(text)) return `'${text}' mixes text and braces; a parameter is a whole part`;
  if (text === '' && !last) return 'has an empty part';
  if (/[?#\s\\]/.test(text)) return `'${text}' has a sign that no path has`;
  if (text === '.' || text === '..') return `'${text}' is resolved by clients before it is sent`;
  const literal = decoded(text);
  return literal === undefined ? `'${text}' is not valid percent-encoding` : { kind: 'literal', text: literal };
}

/** Undefined: malformed. */
export function decoded(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/**
 * What no two routes of a tenant may share: the path without its parameters' names, and a method. `ANY` is a claim of its own,
 * for it only takes what is left.
 */
export function claimsOf(path: string, methods: readonly Method[]): string[] {
  const shape = parsePath(path)
    .map((s) => (s.kind === 'literal' ? encodeURIComponent(s.text) : s.kind === 'param' ? '{}' : '{+}'))
    .join('/');
  return methods.map((method) => `http ${method} /${shape}`);
}

export type Match =
  | { kind: 'route'; trigger: HttpTrigger; params: Record<string, string> | undefined; routeKey: string }
  /** `trigger`: the most specific route of the path, for its CORS settings. */
  | { kind: 'method'; allow: string[]; trigger: HttpTrigger }
  | { kind: 'none' };

interface Leaf {
  byMethod: Map<string, { trigger: HttpTrigger; segments: Segment[] }>;
}

interface Node {
  literals: Map<string, Node>;
  param?: Node;
  greedy?: Leaf;
  leaf?: Leaf;
}

const emptyNode = (): Node => ({ literals: new Map() });

/**
 * The enabled routes of one tenant, compiled: a tree of segments. Of all paths that match, text comes before a parameter and a
 * parameter before a greedy one, part by part from the left; a route that names the method comes before `ANY` of the same path.
 */
export class Router {
  private readonly root = emptyNode();

  constructor(triggers: readonly HttpTrigger[]) {
    for (const trigger of triggers) this.add(trigger);
  }

  private add(trigger: HttpTrigger): void {
    const segments = parsePath(trigger.path);
    let node = this.root;
    let leaf: Leaf | undefined;
    for (const segment of segments) {
      if (segment.kind === 'greedy') {
        node.greedy ??= { byMethod: new Map() };
        leaf = node.greedy;
      } else if (segment.kind === 'param') {
        node.param ??= emptyNode();
        node = node.param;
      } else {
        const next = node.literals.get(segment.text) ?? emptyNode();
        node.literals.set(segment.text, next);
        node = next;
      }
    }
    if (!leaf) {
      node.leaf ??= { byMethod: new Map() };
      leaf = node.leaf;
    }
    for (const method of trigger.methods) leaf.byMethod.set(method, { trigger, segments });
  }

  /** @param rawPath as received, still percent-encoded, without the query. */
  match(method: string, rawPath: string): Match {
    const parts = rawPath === '/' || rawPath === '' ? [] : rawPath.slice(1).split('/');
    if (parts.length > MAX_SEGMENTS * 8) return { kind: 'none' };
    const values = parts.map((part) => decoded(part) ?? part);
    const leaves: Leaf[] = [];
    collect(this.root, values, 0, leaves);
    if (leaves.length === 0) return { kind: 'none' };
    for (const leaf of leaves) {
      const found = takes(leaf, method);
      if (found) {
        const { trigger, segments } = found.route;
        return { kind: 'route', trigger, params: paramsOf(segments, values), routeKey: `${found.as} ${trigger.path}` };
      }
    }
    const [first] = leaves[0]!.byMethod.values();
    return { kind: 'method', allow: allowed(leaves), trigger: first!.trigger };
  }
}

/** Leaves in the order of their claim on the path. Bounded: a route has at most 32 parts, and each part three ways. */
function collect(node: Node, values: string[], at: number, into: Leaf[]): void {
  if (at === values.length) {
    if (node.leaf) into.push(node.leaf);
    return;
  }
  const value = values[at]!;
  const literal = node.literals.get(value);
  if (literal) collect(literal, values, at + 1, into);
  if (node.param && value !== '') collect(node.param, values, at + 1, into);
  if (node.greedy && !(value === '' && at === values.length - 1)) into.push(node.greedy);
}

function takes(leaf: Leaf, method: string): { as: string; route: { trigger: HttpTrigger; segments: Segment[] } } | undefined {
  const own = leaf.byMethod.get(method);
  if (own) return { as: method, route: own };
  const get = method === 'HEAD' ? leaf.byMethod.get('GET') : undefined;
  if (get) return { as: 'GET', route: get };
  const any = leaf.byMethod.get('ANY');
  return any && { as: 'ANY', route: any };
}

function allowed(leaves: Leaf[]): string[] {
  const methods = new Set(leaves.flatMap((leaf) => [...leaf.byMethod.keys()]));
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods].sort();
}

/** Undefined where the route has no parameters, as in the event. */
function paramsOf(segments: Segment[], values: string[]): Record<string, string> | undefined {
  let params: Record<string, string> | undefined;
  segments.forEach((segment, at) => {
    if (segment.kind === 'literal') return;
    params ??= {};
    params[segment.name] = segment.kind === 'param' ? values[at]! : values.slice(at).join('/');
  });
  return params;
}
