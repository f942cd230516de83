import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Target {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** A new Idempotency-Key for every call. */
  keyed?: boolean;
}

export interface LoadResult {
  requests: number;
  requestsPerSec: number;
  p99Ms: number;
  /** Answers other than 2xx and 3xx. */
  refused: number;
}

export const hasWrk = spawnSync('wrk', ['-v']).error === undefined;

/** Posts as fast as so many connections can. */
export async function load(target: Target, connections: number, seconds: number): Promise<LoadResult> {
  return hasWrk ? wrk(target, connections, seconds) : cannon(target, connections, seconds);
}

let scripts = 0;

async function wrk(target: Target, connections: number, seconds: number): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'fns-bench-wrk-'));
  scripts += 1;
  const lines = ['wrk.method = "POST"', `wrk.body = ${JSON.stringify(target.body)}`];
  for (const [name, value] of Object.entries(target.headers)) lines.push(`wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`);
  if (target.keyed) {
    lines.push(
      'local n = 0',
      `request = function() n = n + 1; wrk.headers["Idempotency-Key"] = "b${process.pid}-${scripts}-" .. n; return wrk.format() end`,
    );
  }
  writeFileSync(join(folder, 'post.lua'), lines.join('\n'));
  try {
    const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', join(folder, 'post.lua'), target.url];
    const { stdout } = await run('wrk', args);
    return {
      requests: Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0),
      requestsPerSec: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0),
      p99Ms: msOf(/99%\s+([\d.]+\w+)/.exec(stdout)?.[1]),
      refused: Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function msOf(text = '0ms'): number {
  const value = Number.parseFloat(text);
  return text.endsWith('us') ? value / 1000 : text.endsWith('ms') ? value : value * 1000;
}

async function cannon(target: Target, connections: number, seconds: number): Promise<LoadResult> {
  const autocannon = require('autocannon') as (options: object) => Promise<{
    requests: { total: number; average: number };
    latency: { p99: number };
    non2xx: number;
  }>;
  const unique = (function* () {
    for (let n = 0; ; n += 1) yield `c${process.pid}-${n}`;
  })();
  const { url, headers, body } = target;
  const setupRequest = (each: { headers: object }) => ({
    ...each,
    headers: { ...headers, 'idempotency-key': unique.next().value },
  });
  const requests = target.keyed ? [{ setupRequest }] : undefined;
  const result = await autocannon({ url, method: 'POST', headers, body, connections, duration: seconds, requests });
  return { requests: result.requests.total, requestsPerSec: result.requests.average, p99Ms: result.latency.p99, refused: result.non2xx };
}

/** One caller with one kept connection, a call at a time. */
export class Caller {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** Milliseconds of one call, from the first byte sent to the last one read. */
  call({ url, headers, body }: Target): Promise<{ ms: number; text: string }> {
    return new Promise((resolve, reject) => {
      const startedAt = performance.now();
      const req = request(
        url,
        { method: 'POST', agent: this.agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
        (res) => {
          let text = '';
          res.setEncoding('utf8').on('data', (chunk) => (text += chunk));
          res.on('end', () => resolve({ ms: performance.now() - startedAt, text }));
        },
      );
      req.on('error', reject).end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

export const quantile = (values: number[], q: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? 0;
};

export const median = (values: number[]): number => quantile(values, 0.5);
