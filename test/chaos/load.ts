import { until } from '../e2e/platform.js';
import type { Dice } from './dice.js';
import type { Machine } from './machine.js';

/** What the platform has promised to its callers, noted as they saw it. */
export interface Journal {
  /** Async calls answered 202: request id -> whether its handler can ever succeed. */
  accepted: Map<string, boolean>;
  /** Sync calls that were told SUCCEEDED: request id -> result. */
  succeeded: Map<string, unknown>;
  /** Under a key: every request id that was ever told for it. */
  keys: Map<string, Set<string>>;
  /** Answers that break the contract. */
  wrong: string[];
  calls: number;
  refused: number;
  /** Connections that broke: nothing is promised then. */
  broken: number;
}

export interface Functions {
  steady: string;
  failing: string;
}

const STEADY = `exports.handler = async (event) => {
  await new Promise((resolve) => setTimeout(resolve, event.ms));
  return { n: event.n };
};`;
const FAILING = `exports.handler = async (event) => { throw new Error('never ' + event.n); };`;
export const FAILING_RETRIES = 1;

export async function deploy(machine: Machine): Promise<Functions> {
  const steady = await machine.function(STEADY, { timeoutSec: 10 });
  const failing = await machine.function(FAILING, { retry: { maxRetries: FAILING_RETRIES, baseDelayMs: 100, maxAgeSec: 3_600 } });
  return { steady: steady.functionId, failing: failing.functionId };
}

/** Callers that go on whatever happens, as a queue of real clients would. */
export class Load {
  readonly journal: Journal = { accepted: new Map(), succeeded: new Map(), keys: new Map(), wrong: [], calls: 0, refused: 0, broken: 0 };
  private running: Promise<unknown> | undefined;
  private stopped = false;
  private last = 0;

  constructor(
    private readonly machine: Machine,
    private readonly functions: Functions,
    private readonly dice: Dice,
  ) {}

  start(callers = 10): void {
    this.stopped = false;
    this.running = Promise.all(Array.from({ length: callers }, () => this.caller()));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  /** Waits for so many answered calls more, so that there is load at each accident, however slow the machine. */
  async answer(more: number): Promise<void> {
    const answered = (): number => this.journal.calls - this.journal.broken;
    const wanted = answered() + more;
    await until(`${more} calls answered more`, async () => answered() >= wanted, 60_000);
  }

  private async caller(): Promise<void> {
    while (!this.stopped) {
      this.journal.calls += 1;
      try {
        await this.dice
          .pick([this.syncKeyless, this.syncKeyed, this.asyncKeyless, this.asyncKeyed, this.asyncFailing, this.syncOnAsyncKey])
          .call(this);
      } catch (error) {
        // A refused or broken connection. Anything else is a fault of this test. (By name: fetch is of another realm than the tests.)
        if ((error as Error).name !== 'TypeError') throw error;
        this.journal.broken += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  private next(): number {
    this.last += 1;
    return this.last;
  }

  /** Often a new one, else one of the last: its first call may still run, have ended, or have died with the platform. */
  private someKey(kind: string): { key: string; n: number } {
    const n = this.dice.chance(0.4) ? this.next() : Math.max(1, this.last - this.dice.between(0, 30));
    return { key: `${kind}-${n}`, n };
  }

  private payload = (n: number): { n: number; ms: number } => ({ n, ms: n % 12 });

  private async syncKeyless(): Promise<void> {
    const n = this.next();
    await this.sync(n, {});
  }

  private async syncKeyed(): Promise<void> {
    const { key, n } = this.someKey('sync');
    await this.sync(n, { 'idempotency-key': key }, key);
  }

  /** A sync repeat of an async call waits for its answer. */
  private async syncOnAsyncKey(): Promise<void> {
    const { key, n } = this.someKey('async');
    await this.sync(n, { 'idempotency-key': key }, key);
  }

  private async sync(n: number, headers: Record<string, string>, key?: string): Promise<void> {
    const answer = await this.machine.sync(this.functions.steady, this.payload(n), headers);
    if (this.isRefusal(answer.status)) return;
    if (answer.status === 202) return;
    const { requestId, status, result } = answer.json;
    if (answer.status !== 200) return void this.journal.wrong.push(`sync: ${answer.status} ${answer.text}`);
    if (key) this.told(key, requestId);
    if (status !== 'SUCCEEDED') return;
    if (result?.n !== n) this.journal.wrong.push(`sync ${requestId}: asked ${n}, told ${answer.text}`);
    this.journal.succeeded.set(requestId, result);
  }

  private async asyncKeyless(): Promise<void> {
    await this.async(this.functions.steady, this.next(), {}, true);
  }

  private async asyncFailing(): Promise<void> {
    await this.async(this.functions.failing, this.next(), {}, false);
  }

  private async asyncKeyed(): Promise<void> {
    const { key, n } = this.someKey('async');
    await this.async(this.functions.steady, n, { 'idempotency-key': key }, true, key);
  }

  private async async(functionId: string, n: number, headers: Record<string, string>, succeeds: boolean, key?: string): Promise<void> {
    const body = { payload: this.payload(n) };
    const answer = await this.machine.call('POST', `/functions/${functionId}/invoke`, { body, headers });
    if (this.isRefusal(answer.status)) return;
    if (answer.status !== 202) return void this.journal.wrong.push(`async: ${answer.status} ${answer.text}`);
    // The key may have been begun by a sync call, which fails instead of being tried again.
    if (!key) this.journal.accepted.set(answer.json.requestId, succeeds);
    else this.told(key, answer.json.requestId);
  }

  private told(key: string, requestId: string): void {
    const ids = this.journal.keys.get(key) ?? new Set();
    this.journal.keys.set(key, ids.add(requestId));
  }

  private isRefusal(status: number): boolean {
    if (status !== 429 && status !== 503) return false;
    this.journal.refused += 1;
    return true;
  }
}
