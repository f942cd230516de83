import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ADMIN_KEY = 'fns_e2e_0123456789abcdef0123456789abcdef';
const ROOT = join(__dirname, '..', '..');

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read what they expect and fail where it is not there
  json: any;
}

interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  key?: string | null;
  /** Path from the root instead of /api/v1. */
  root?: boolean;
}

/** The real platform in a process of its own, on a data folder of its own, as `npm start` runs it. */
export class Platform {
  readonly dataDir: string;
  port = 0;
  output = '';
  child: ChildProcess | undefined;

  constructor(private readonly env: Record<string, string> = {}) {
    this.dataDir = mkdtempSync(join(tmpdir(), 'fns-e2e-'));
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<this> {
    this.port = await freePort();
    const child = spawn(process.execPath, [join(ROOT, 'bin', 'start.mjs')], {
      cwd: ROOT,
      env: { ...process.env, FNS_PORT: String(this.port), FNS_DATA_DIR: this.dataDir, FNS_ADMIN_KEY: ADMIN_KEY, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-50_000);
      });
    }
    await until(
      'the platform is ready',
      async () => {
        if (child.exitCode !== null) throw new Error(`The platform ended with ${child.exitCode} before it was ready:\n${this.output}`);
        return fetch(`${this.url}/readyz`).then(
          (answer) => answer.status === 200,
          () => false,
        );
      },
      30_000,
    );
    return this;
  }

  /** As a service manager stops it; the exit code. */
  async stop(): Promise<number | null> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill('SIGTERM');
    return exited;
  }

  /** As a power cut stops it. */
  async kill(): Promise<void> {
    const { child } = this;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    process.kill(child.pid, 'SIGKILL');
    await exited;
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  async call(method: string, path: string, { body, headers = {}, key = ADMIN_KEY, root = false }: CallOptions = {}): Promise<Answer> {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const answer = await fetch(this.url + (root ? '' : '/api/v1') + path, {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined || raw ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : raw ? (body as string) : JSON.stringify(body),
      redirect: 'manual',
    });
    const text = await answer.text();
    const json = /json/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(text) : undefined;
    return { status: answer.status, headers: answer.headers, text, json };
  }

  /** A call that must answer 2xx; its JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: see Answer
  async ok(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<any> {
    const answer = await this.call(method, path, { body, ...options });
    if (answer.status >= 300) throw new Error(`${method} ${path} -> ${answer.status} ${answer.text.slice(0, 1000)}`);
    return answer.json;
  }

  /** Makes a function from source text (index.js) or files. */
  // biome-ignore lint/suspicious/noExplicitAny: see Answer
  function(code: string | Record<string, string>, settings: Record<string, unknown> = {}, options: CallOptions = {}): Promise<any> {
    const files = typeof code === 'string' ? { 'index.js': code } : code;
    names += 1;
    return this.ok(
      'POST',
      '/functions',
      { name: `fn-${process.pid}-${names}`, runtime: 'nodejs20', code: { files }, ...settings },
      options,
    );
  }

  sync(functionId: string, payload: unknown, headers: Record<string, string> = {}, options: CallOptions = {}): Promise<Answer> {
    return this.call('POST', `/functions/${functionId}/invoke?mode=sync`, { body: { payload }, headers, ...options });
  }

  async send(functionId: string, payload: unknown, headers: Record<string, string> = {}, options: CallOptions = {}): Promise<string> {
    const answer = await this.call('POST', `/functions/${functionId}/invoke`, { body: { payload }, headers, ...options });
    if (answer.status !== 202) throw new Error(`async invoke -> ${answer.status} ${answer.text}`);
    return answer.json.requestId;
  }

  /** The invocation once it has ended. */
  // biome-ignore lint/suspicious/noExplicitAny: see Answer
  finished(requestId: string, timeoutMs = 30_000): Promise<any> {
    return until(
      `${requestId} ends`,
      async () => {
        const head = await this.ok('GET', `/invocations/${requestId}`);
        return ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'DEAD'].includes(head.state) && head;
      },
      timeoutMs,
    );
  }

  /** Every item of a paged list. */
  // biome-ignore lint/suspicious/noExplicitAny: see Answer
  async all(path: string): Promise<any[]> {
    const items = [];
    for (let cursor: string | undefined; ; ) {
      const page = await this.ok(
        'GET',
        `${path}${path.includes('?') ? '&' : '?'}limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`,
      );
      items.push(...page.items);
      if (!page.nextCursor) return items;
      cursor = page.nextCursor;
    }
  }
}

let names = 0;

export async function until<T>(what: string, probe: () => Promise<T | false | undefined>, timeoutMs = 15_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const got = await probe();
    if (got) return got as T;
    if (Date.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
