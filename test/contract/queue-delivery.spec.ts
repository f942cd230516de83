import { createHash } from 'node:crypto';
import { asFunctionId, asTenantId, asTriggerId } from '../../lib/core/ids.js';
import type { Head } from '../../lib/core/invocations/model.js';
import type { InvokeCall, SyncAnswer } from '../../lib/core/invocations/service.js';
import { PlatformFault, Refusal } from '../../lib/core/refusal.js';
import type { LastResult, QueueTrigger } from '../../lib/core/triggers/model.js';
import { QueueConsumers } from '../../lib/core/triggers/queue-consumers.js';
import { EmbeddedInvocations } from '../../lib/embedded/invocations/invocations.js';
import { EmbeddedQueueStore } from '../../lib/embedded/triggers/queue-store.js';
import { embeddedStore } from './embedded.js';

const a = asTenantId('a');
const fn = {
  functionId: asFunctionId('fn_1'),
  tenantId: a,
  state: 'ENABLED',
  priority: 'normal',
  retry: { maxRetries: 2, baseDelayMs: 2, maxAgeSec: 3600 },
};
const trigger = {
  type: 'queue',
  triggerId: asTriggerId('trg_1'),
  tenantId: a,
  functionId: fn.functionId,
  qualifier: '$LATEST',
  enabled: true,
  queue: 'q',
  batchSize: 4,
  batchWindowMs: 0,
  maxConcurrency: 2,
} as QueueTrigger;
interface Event {
  Records: { messageId: string; body: string; attributes: Record<string, string> }[];
}

/** A process may end before or after any of its durable steps; what was durable stays, the rest is gone. */
class Process {
  dead = false;
  private steps = 0;
  private readonly underWay = new Set<Promise<unknown>>();
  constructor(
    private readonly dieAt = Number.POSITIVE_INFINITY,
    private readonly applied = false,
  ) {}

  async step<T>(run: () => Promise<T>): Promise<T> {
    if (this.dead) return new Promise(() => {});
    this.steps += 1;
    const dies = this.steps === this.dieAt;
    if (dies && !this.applied) return this.die();
    const running = run();
    this.underWay.add(running);
    const result = await running.finally(() => this.underWay.delete(running));
    return dies || this.dead ? this.die() : result;
  }

  /** Dead, and nothing of it is still on its way to the store: the next process gets the data folder only then. */
  async end(): Promise<void> {
    this.dead = true;
    await Promise.allSettled(this.underWay);
  }

  private die<T>(): Promise<T> {
    this.dead = true;
    return new Promise(() => {});
  }
}

describe('the delivery of a queue', () => {
  let queues: EmbeddedQueueStore;
  let letters: EmbeddedInvocations;
  let close: () => Promise<void>;
  /** The record of the invocation path: key -> its one end. */
  let ends: Map<string, SyncAnswer & { kind: 'done' }>;
  let seen: string[][];
  let noted: LastResult[];
  let handler: (event: Event) => unknown;
  let refuse: Refusal | undefined;
  let consumers: QueueConsumers[];

  beforeEach(async () => {
    const opened = await embeddedStore();
    close = opened.close;
    queues = new EmbeddedQueueStore(opened.database);
    letters = new EmbeddedInvocations(opened.database);
    ends = new Map();
    seen = [];
    noted = [];
    refuse = undefined;
    consumers = [];
    handler = (event) => ({
      batchItemFailures: event.Records.filter(({ body }) => body.startsWith('bad')).map(({ messageId }) => ({ itemIdentifier: messageId })),
    });
  });
  afterEach(async () => {
    await Promise.all(consumers.map((each) => each.stop(100)));
    await close();
  });

  /** As the invocation path keeps its promise for keyed sync calls. */
  async function invokeSync(call: InvokeCall, on: Process): Promise<SyncAnswer> {
    const held = ends.get(call.idempotencyKey!);
    if (held) return { ...held, replayed: true };
    if (refuse) return { kind: 'refused', refusal: refuse };
    const event = JSON.parse(call.payload) as Event;
    return on.step(async () => {
      let head = {
        state: 'SUCCEEDED',
        requestId: `req_${ends.size}`,
        attempts: [{ outcome: 'SUCCEEDED', fault: null, version: '$LATEST' }],
      } as unknown as Head;
      let result: string | undefined;
      try {
        result = JSON.stringify(handler(event) ?? null);
      } catch (error) {
        const fault = error instanceof PlatformFault ? 'platform' : 'tenant';
        head = {
          ...head,
          state: 'FAILED',
          attempts: [{ outcome: 'FAILED', fault }],
          error: { type: 'Error', message: (error as Error).message },
        } as unknown as Head;
        if (fault === 'platform') return { kind: 'done', head, result, replayed: false };
      }
      seen.push(event.Records.map(({ messageId }) => messageId));
      const end = { kind: 'done' as const, head, result, replayed: false };
      ends.set(call.idempotencyKey!, end);
      return end;
    });
  }

  function boot(on = new Process(), over: Partial<QueueTrigger> = {}): QueueConsumers {
    const mine = new QueueConsumers({
      store: {
        ...queues,
        take: (request) => on.step(() => queues.take(request)),
        settle: (batchId, all, now) => on.step(() => queues.settle(batchId, all, now)),
        open: (tenantId, queue) => on.step(() => queues.open(tenantId, queue)),
        release: (batchId, notBefore) => on.step(() => queues.release(batchId, notBefore)),
        faulted: (batchId) => on.step(() => queues.faulted(batchId)),
      } as EmbeddedQueueStore,
      invocations: { invokeSync: (call) => (on.dead ? new Promise(() => {}) : invokeSync(call, on)) },
      letters: { place: (json) => letters.place(json), deposit: (head) => on.step(() => letters.deposit(head)) },
      clock: {
        now: () => Date.now(),
        monotonicMs: () => performance.now(),
        after: (ms, run) => {
          // A second of backoff is a hundredth here.
          const timer = setTimeout(run, ms >= 500 ? ms / 100 : ms);
          return () => clearTimeout(timer);
        },
      },
      random: { fraction: () => 0.5, bytes: (n) => createHash('sha256').update(String(Math.random())).digest().subarray(0, n) },
      digest: (...texts) => createHash('sha256').update(texts.join('\0')).digest('hex'),
      findFunction: () => fn as never,
      originOf: () => ({ arn: 'arn:aws:sqs:local:a:q', region: 'local' }),
      noted: (_trigger, result) => noted.push(result),
    });
    mine.set({ ...trigger, ...over });
    mine.start();
    consumers.push(mine);
    return mine;
  }

  const send = (bodies: string[], group?: string) =>
    queues.put({
      tenantId: a,
      queue: 'q',
      messages: bodies.map((body, i) => ({ messageId: `m-${i}-${body}`, given: true, body, md5: '', group, sentAt: Date.now() })),
      ...{ dedupeMs: 1e9, maxItems: 1e6, maxBytes: 1e9, maxQueues: 10, now: Date.now() },
    });
  const deadLetters = async () => (await letters.deadLetters({ tenantId: a, functionId: fn.functionId, limit: 100 })).items;

  async function until(what: string, probe: () => Promise<boolean> | boolean): Promise<void> {
    for (const end = Date.now() + 10_000; !(await probe()); ) {
      if (Date.now() > end) throw new Error(`in vain: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const drained = () => until('the queue is empty', async () => (await queues.queue(a, 'q'))?.depth === 0);
  const countOf = (id: string) => seen.flat().filter((each) => each === id).length;

  it('runs good messages once, retries a bad one by the policy, and makes one dead letter of it', async () => {
    await send(['one', 'two', 'bad', 'three', 'four', 'five']);
    boot();
    await drained();
    expect(['one', 'two', 'three', 'four', 'five'].map((body, i) => countOf(`m-${i < 2 ? i : i + 1}-${body}`))).toEqual([1, 1, 1, 1, 1]);
    expect(countOf('m-2-bad')).toBe(3);
    const [letter, ...others] = await deadLetters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      state: 'DEAD',
      mode: 'async',
      deadReason: 'max_retries',
      attempt: 3,
      source: { type: 'queue', queue: 'q', messageId: 'm-2-bad', triggerId: 'trg_1' },
      attempts: [1, 2, 3].map((attempt) => ({ attempt, billedMs: 0, fault: 'tenant', error: { type: 'Queue.BatchItemFailure' } })),
    });
    const event = JSON.parse(await letters.bytes(letter!.payload!)) as Event;
    expect(event.Records).toMatchObject([{ messageId: 'm-2-bad', body: 'bad', attributes: { ApproximateReceiveCount: '4' } }]);
    expect(Math.max(...seen.map((batch) => batch.length))).toBeLessThanOrEqual(4);
    expect(noted.at(-1)).toMatchObject({ state: 'FAILED' });
  });

  it('retries all messages of a batch whose handler fails, each by its own count', async () => {
    await send(['one', 'two']);
    let calls = 0;
    handler = () => {
      calls += 1;
      if (calls < 3) throw new Error('not yet');
    };
    boot();
    await drained();
    expect(calls).toBeGreaterThanOrEqual(3);
    expect(await deadLetters()).toEqual([]);
  });

  it('keeps a group in order through failures', async () => {
    await send(['a', 'b', 'c', 'd'], 'g');
    let failed = false;
    const order: string[] = [];
    handler = ({ Records }) => {
      const at = Records.findIndex(({ body }) => body === 'b' && !failed);
      order.push(...Records.slice(0, at < 0 ? undefined : at).map(({ body }) => body));
      if (at < 0) return undefined;
      failed = true;
      return { batchItemFailures: Records.slice(at).map(({ messageId }) => ({ itemIdentifier: messageId })) };
    };
    boot();
    await drained();
    expect(order).toEqual(['a', 'b', 'c', 'd']);
  });

  it('counts nothing while calls are refused, and goes on when they are taken again', async () => {
    refuse = new Refusal(429, 'FNS_429_CONCURRENCY_LIMIT', 'full');
    await send(['one']);
    boot();
    await until('a refusal was noted', () => noted.some(({ code }) => code === 'FNS_429_CONCURRENCY_LIMIT'));
    refuse = undefined;
    await drained();
    expect(countOf('m-0-one')).toBe(1);
  });

  it('repeats what the platform failed without counting it, and gives up after its own budget', async () => {
    await send(['one']);
    let faults = 3;
    handler = () => {
      faults -= 1;
      if (faults >= 0) throw new PlatformFault('ours');
    };
    const first = boot();
    await drained();
    expect(countOf('m-0-one')).toBe(1);
    await first.stop(1000);
    await send(['never']);
    handler = () => {
      throw new PlatformFault('ours');
    };
    boot();
    await drained();
    expect(await deadLetters()).toMatchObject([{ deadReason: 'platform_fault', source: { messageId: 'm-0-never' } }]);
  });

  it('hands a batch to its end though the trigger was changed meanwhile, and once', async () => {
    await send(['one', 'two']);
    const mine = boot();
    mine.set({ ...trigger, batchSize: 1 });
    mine.set({ ...trigger, batchSize: 2 });
    await drained();
    expect([countOf('m-0-one'), countOf('m-1-two')]).toEqual([1, 1]);
  });

  it.each([false, true])('loses and doubles nothing, whichever durable step a process ends at (its write applied: %s)', async (applied) => {
    for (let dieAt = 1; dieAt <= 22; dieAt += 1) {
      seen = [];
      const tag = `${applied}-${dieAt}`;
      await send([`one ${tag}`, `bad ${tag}`, `two ${tag}`, `three ${tag}`, `four ${tag}`]);
      const before = (await deadLetters()).length;
      const first = new Process(dieAt, applied);
      boot(first);
      await until('it died or was done', async () => first.dead || (await queues.queue(a, 'q'))?.depth === 0);
      await first.end();
      boot();
      await drained();
      const good = [0, 2, 3, 4].map((i) => countOf(`m-${i}-${['one', '', 'two', 'three', 'four'][i]} ${tag}`));
      expect([dieAt, good]).toEqual([dieAt, [1, 1, 1, 1]]);
      expect([dieAt, countOf(`m-1-bad ${tag}`), (await deadLetters()).length - before]).toEqual([dieAt, 3, 1]);
      await Promise.all(consumers.splice(0).map((each) => each.stop(50)));
    }
  });
});
