import { Caller, quantile } from './load.js';
import type { Fns } from './servers.js';

const PYTHON = "def handler(event, context):\n    return {'greeting': 'hello ' + event['name']}\n";
/** Time for a spare process to be prepared again, as it would be between the first calls of real functions. */
const BETWEEN_COLD_STARTS_MS = 250;

export interface Latencies {
  p50Ms: number;
  p95Ms: number;
  calls: number;
}

const summary = (ms: number[]): Latencies => ({ p50Ms: quantile(ms, 0.5), p95Ms: quantile(ms, 0.95), calls: ms.length });

const targetOf = (fns: Fns, functionId: string) => ({
  url: `${fns.url}/api/v1/functions/${functionId}/invoke?mode=sync`,
  headers: fns.headers,
  body: '{"payload":{"name":"World"}}',
});

/** One caller, one connection, a function that is warm. */
export async function warm(fns: Fns, calls: number): Promise<Latencies> {
  const target = targetOf(fns, await fns.function());
  const caller = new Caller();
  for (let n = 0; n < 200; n += 1) await caller.call(target);
  const ms: number[] = [];
  for (let n = 0; n < calls; n += 1) ms.push((await caller.call(target)).ms);
  caller.close();
  return summary(ms);
}

/** First calls of fresh functions, as their caller sees them. */
export async function cold(fns: Fns, runtime: string, count: number): Promise<Latencies> {
  const isPython = runtime.startsWith('python');
  const caller = new Caller();
  const ms: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const functionId = isPython ? await fns.function({ 'index.py': PYTHON }, runtime) : await fns.function();
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_COLD_STARTS_MS));
    const { ms: took, text } = await caller.call(targetOf(fns, functionId));
    if (!text.includes('"coldStart":true')) throw new Error(`not a cold start: ${text}`);
    ms.push(took);
    // It keeps its warm slot otherwise, and forty of those are another machine than the one measured.
    await fns.api('PUT', `/functions/${functionId}/state`, { state: 'DISABLED' });
  }
  caller.close();
  return summary(ms);
}
