import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const ROOT = join(__dirname, '..');
const KEY = 'fns_bench_0123456789abcdef0123456789abcdef';

export const HANDLER = "exports.handler = async (event) => ({ greeting: 'hello ' + event.name });";

export interface Server {
  name: string;
  url: string;
  pid: number;
  stop(): Promise<void>;
}

async function started(name: string, child: ChildProcess, url: string, ready: string): Promise<Server> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (output = `${output}${text}`.slice(-5_000)));
  const end = Date.now() + 60_000;
  while (
    !(await fetch(ready, { method: 'GET' }).then(
      // A peer's handler knows no GET and fails: that it answers is enough.
      (answer) => answer.status === 200 || name !== 'fns',
      () => false,
    ))
  ) {
    if (child.exitCode !== null || Date.now() > end) throw new Error(`${name} did not start:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { name, url, pid: child.pid as number, stop: () => ended(child) };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

export async function functionsFramework(): Promise<Server> {
  const port = await freePort();
  const main = join(dirname(require.resolve('@google-cloud/functions-framework')), 'main.js');
  const source = join(ROOT, 'bench', 'peers', 'functions-framework.cjs');
  // Express does nothing for production by itself unless told.
  const env = { ...process.env, NODE_ENV: 'production', PORT: String(port), FUNCTION_TARGET: 'hello', FUNCTION_SOURCE: source };
  const url = `http://127.0.0.1:${port}/`;
  return started('functions-framework', spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] }), url, url);
}

export async function workerd(): Promise<Server> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'fns-bench-workerd-'));
  writeFileSync(
    join(folder, 'config.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker.js", esModule = embed "worker.js")], compatibilityDate = "2025-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
`,
  );
  const worker = join(ROOT, 'bench', 'peers', 'worker.js');
  writeFileSync(join(folder, 'worker.js'), require('node:fs').readFileSync(worker));
  // The package's launcher is a script around the real binary; its CPU time is that of the binary.
  const binary = join(dirname(require.resolve('workerd/package.json')), 'bin', 'workerd');
  const child = spawn(binary, ['serve', join(folder, 'config.capnp')], { stdio: ['ignore', 'pipe', 'pipe'] });
  const url = `http://127.0.0.1:${port}/`;
  const server = await started('workerd', child, url, `${url}`);
  return {
    ...server,
    stop: async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** FNS as `npm start` runs it, on a data folder of its own. */
export class Fns {
  private server: Server | undefined;
  readonly dataDir = mkdtempSync(join(tmpdir(), 'fns-bench-'));
  private names = 0;

  /** Milliseconds from the start of the process to the first 200 of /readyz. */
  async start(): Promise<number> {
    const port = await freePort();
    const startedAt = performance.now();
    const env = { ...process.env, FNS_PORT: String(port), FNS_DATA_DIR: this.dataDir, FNS_ADMIN_KEY: KEY };
    const args = ['--max-semi-space-size=32', join(ROOT, 'bin', 'start.mjs')];
    const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const url = `http://127.0.0.1:${port}`;
    this.server = await started('fns', child, url, `${url}/readyz`);
    return performance.now() - startedAt;
  }

  get url(): string {
    return this.running.url;
  }

  get pid(): number {
    return this.running.pid;
  }

  private get running(): Server {
    if (!this.server) throw new Error('FNS is not started.');
    return this.server;
  }

  readonly headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };

  async api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: this.headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path} -> ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  async function(files: Record<string, string> = { 'index.js': HANDLER }, runtime = 'nodejs20'): Promise<string> {
    this.names += 1;
    const settings = { name: `bench-${this.names}`, runtime, memoryMb: 128, timeoutSec: 10, code: { files } };
    return (await this.api<{ functionId: string }>('POST', '/functions', settings)).functionId;
  }

  /** Resolves when nothing waits and nothing runs. */
  async quiet(): Promise<void> {
    for (;;) {
      const { queueLagMs, slots } = await this.api<{ queueLagMs: number; slots: { busy: number } }>('GET', '/functions/metrics');
      if (queueLagMs === 0 && slots.busy === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async stop(): Promise<void> {
    await this.server?.stop();
  }

  dispose(): void {
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
