import type { Connection } from './connection.js';
import { CliError, EXIT } from './failure.js';

/** RFC 9457, as the platform answers errors. */
export interface Problem {
  title?: string;
  status: number;
  detail?: string;
  code?: string;
  requestId?: string;
  errors?: { field: string; message: string; allowed?: string }[];
}

/** A refusal of the platform. */
export class ApiError extends CliError {
  constructor(
    readonly api: Problem,
    hint: string | undefined,
  ) {
    super(describe(api), api.status === 401 || api.status === 403 ? EXIT.forbidden : EXIT.failed, hint, api);
  }
}

export interface Page<T> {
  items: T[];
  nextCursor?: string;
}

export interface Call {
  query?: Record<string, string | number | undefined>;
  /** Sent as JSON; text and bytes as they are, with `type`. */
  body?: unknown;
  type?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const PAGE = 1000;

/** The REST API as the commands use it. */
export class Client {
  constructor(readonly to: Connection) {}

  async get<T>(path: string, query?: Call['query']): Promise<T> {
    return (await this.send('GET', path, { query })).json() as Promise<T>;
  }

  /** Undefined where the answer has no body. */
  async call<T>(method: string, path: string, call: Call = {}): Promise<T> {
    const text = await (await this.send(method, path, call)).text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Every item of a list, page by page, `atMost` of them. */
  async *list<T>(path: string, query: Call['query'] = {}, atMost = Number.POSITIVE_INFINITY): AsyncGenerator<T> {
    let left = atMost;
    for (let cursor: string | undefined; left > 0; ) {
      const page: Page<T> = await this.get(path, { ...query, cursor, limit: Math.min(PAGE, left) });
      yield* page.items;
      left -= page.items.length;
      if (page.nextCursor === undefined) return;
      cursor = page.nextCursor;
    }
  }

  async all<T>(path: string, query?: Call['query'], atMost?: number): Promise<T[]> {
    const items: T[] = [];
    for await (const item of this.list<T>(path, query, atMost)) items.push(item);
    return items;
  }

  /** The answer as it came, errors thrown. `path` is below /api/v1, or from the root where it begins with `//`. */
  async send(method: string, path: string, { query, body, type, headers, signal }: Call = {}): Promise<Response> {
    const url = new URL(path.startsWith('//') ? path.slice(1) : `/api/v1${path}`, this.to.url);
    for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) url.searchParams.set(name, String(value));
    const isPlain = typeof body === 'string' || body instanceof Uint8Array;
    const sent: Record<string, string> = { accept: 'application/json', ...headers };
    if (this.to.key !== undefined) sent.authorization = `Bearer ${this.to.key}`;
    if (body !== undefined) sent['content-type'] = type ?? 'application/json';
    let answer: Response;
    try {
      answer = await fetch(url, {
        method,
        headers: sent,
        body: isPlain || body === undefined ? (body as string | undefined) : JSON.stringify(body),
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable(this.to.url, error);
    }
    if (answer.ok) return answer;
    throw await refused(answer, this.to);
  }
}

/** Which runtimes the platform has; undefined where none answers. */
export async function runtimesOnPlatform(url: string): Promise<string[] | undefined> {
  try {
    const answer = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(1_000) });
    const { checks } = (await answer.json()) as { checks: { runtimes: { list: { runtime: string; works: boolean }[] } } };
    return checks.runtimes.list.filter(({ works }) => works).map(({ runtime }) => runtime);
  } catch {
    return undefined;
  }
}

export function unreachable(url: string, error: unknown): CliError {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const why = cause?.code ?? cause?.message ?? (error as Error).message;
  return new CliError(
    `No platform answers on ${url} (${why}).`,
    EXIT.unreachable,
    'Start one with `npm start`, or say where it is with --url or FNS_URL.',
    undefined,
    {
      cause: error,
    },
  );
}

async function refused(answer: Response, to: Connection): Promise<ApiError> {
  const text = await answer.text();
  let problem: Problem = { status: answer.status, detail: text.slice(0, 300) || answer.statusText };
  try {
    problem = { ...problem, ...(JSON.parse(text) as Problem) };
  } catch {
    // Not ours: a proxy in between.
  }
  return new ApiError(problem, hintFor(problem, to, answer.headers.get('retry-after')));
}

function describe({ status, title, detail, code, errors }: Problem): string {
  const head = `${code ?? `HTTP ${status}`}: `;
  if (!errors || errors.length === 0) return head + (detail ?? title ?? 'refused');
  const mistakes = errors.map(({ field, message, allowed }) => `${field} ${message}${allowed ? ` (allowed: ${allowed})` : ''}`);
  return mistakes.length === 1 ? head + mistakes[0] : [head.trimEnd(), ...mistakes].join('\n  ');
}

function hintFor({ status, code }: Problem, to: Connection, retryAfter: string | null): string | undefined {
  if (status === 401 && to.key === undefined)
    return 'No key was found: set FNS_API_KEY, or run this where .fns/credentials.json of the platform can be read.';
  if (status === 401) return `The key came from ${to.keyFrom}. Is it of the platform on ${to.url}?`;
  if (code === 'FNS_409_NO_CODE') return 'Upload code first: fns deploy.';
  if (status === 404 && code === 'FNS_404_FUNCTION') return '`fns ls` shows the functions that are there.';
  if (status === 429 || status === 503) return `Try again${retryAfter ? ` after ${retryAfter} s` : ' in a moment'}.`;
  return undefined;
}
