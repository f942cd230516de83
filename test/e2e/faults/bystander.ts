import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ADMIN_KEY, type Platform } from '../platform.js';

/** Never less than this is called slow: a shared machine has pauses of its own. */
const FLOOR_MS = 500;
const FACTOR = 5;
const QUIET_CALLS = 40;
const PAUSE_MS = 10;

/**
 * Somebody else on the same machine: another tenant where the sandbox allows one, whose function is called again and
 * again. What the platform owes them is measured against their own quiet figure, taken before and after.
 */
export class Bystander {
  private constructor(
    private readonly platform: Platform,
    private readonly functionId: string,
    private readonly key: string,
  ) {}

  static async of(platform: Platform): Promise<Bystander> {
    const made = await platform.call('POST', '/tenants', { body: { tenantId: 'bystander' } });
    const key: string = made.status === 201 ? made.json.ownerKey.key : ADMIN_KEY;
    const { functionId } = await platform.function('exports.handler = async (e) => e;', {}, { key });
    const bystander = new Bystander(platform, functionId, key);
    await bystander.p95(async () => undefined);
    return bystander;
  }

  /**
   * Does `work`, and once more where its calls met worse than their own quiet figure allows: a shared machine has moments of
   * its own. Throws where they did so twice, or were not served at all.
   */
  async notices<T>(work: () => Promise<T>): Promise<T> {
    const first = await this.during(work);
    if (first.p95 <= first.allowed) return first.done;
    const second = await this.during(work);
    if (second.p95 <= second.allowed) return second.done;
    throw new Error(
      `The bystander's p95 was ${first.p95} ms, then ${second.p95} ms; ${first.allowed} and ${second.allowed} ms are allowed.`,
    );
  }

  private async during<T>(work: () => Promise<T>): Promise<{ done: T; p95: number; allowed: number }> {
    const nothing = async () => undefined;
    const before = await this.p95(nothing);
    let done: T | undefined;
    const p95 = await this.p95(async () => {
      done = await work();
    });
    const after = await this.p95(nothing);
    return { done: done as T, p95, allowed: Math.max(FLOOR_MS, FACTOR * Math.max(before, after)) };
  }

  /** Calls one after the other while `work` runs, at least QUIET_CALLS. */
  private async p95(work: () => Promise<unknown>): Promise<number> {
    const thread = new Worker(join(__dirname, 'bystander-thread.mjs'), {
      workerData: {
        url: `${this.platform.url}/api/v1/functions/${this.functionId}/invoke?mode=sync`,
        key: this.key,
        pauseMs: PAUSE_MS,
        leastCalls: QUIET_CALLS,
      },
    });
    const told = new Promise<{ ms: number } | { error: string }>((resolve, reject) =>
      thread.once('message', resolve).once('error', reject),
    );
    const working = work().finally(() => thread.postMessage('over'));
    const [ended] = await Promise.all([told, working]);
    if ('error' in ended) throw new Error(ended.error);
    return ended.ms;
  }
}
