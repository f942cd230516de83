import type { Clock } from '../clock.js';
import { DEFAULTS } from '../defaults.js';
import type { FunctionRecord } from '../functions/model.js';
import { type FunctionId, type TriggerId, timeOf } from '../ids.js';
import type { Head } from '../invocations/model.js';
import type { Invocations } from '../invocations/service.js';
import type { ConsumerParts } from './consumer-parts.js';
import { CronScheduler, type Fired } from './cron-scheduler.js';
import type { CronTrigger, LastResult, QueueTrigger, Trigger, TriggerStatus } from './model.js';
import type { NewMessage, QueueStore, TriggerStore } from './port.js';
import { QueueConsumers, queueOf } from './queue-consumers.js';
import { nextRuns, parseSchedule } from './schedule.js';
import { Sites } from './sites.js';

/** Takes messages out of a queue of another service, into a durable one of ours. */
export interface ForeignQueues {
  /**
   * Begins to receive; an earlier receiver of the trigger ends.
   * @param into with no messages: is there room? True: they are durable here, the source may forget them
   * @param failed the source cannot be read; its error's name
   */
  set(trigger: QueueTrigger, into: (messages: NewMessage[]) => Promise<boolean>, failed: (code: string) => void): void;
  remove(triggerId: TriggerId): void;
  stop(): Promise<void>;
}

export interface RunnersParts extends Omit<ConsumerParts, 'noted' | 'store' | 'invocations'> {
  triggers: Pick<TriggerStore, 'handled' | 'remove'>;
  queues: QueueStore;
  invocations: Pick<Invocations, 'invokeSync' | 'invokeAsync' | 'onEnd'>;
  clock: Clock;
  foreign: ForeignQueues;
}

const NEXT_RUNS = 3;
const LATER_MS = 1_000;
const FAILED = new Set(['FAILED', 'TIMED_OUT', 'DEAD', 'REFUSED']);

/** What makes triggers run: routes, the scheduler, the consumers of queues. Knows how each fared last. */
export class Runners {
  readonly sites = new Sites();
  readonly consumers: QueueConsumers;
  private readonly cron: CronScheduler;
  private readonly known = new Map<TriggerId, Trigger>();
  private readonly last = new Map<TriggerId, LastResult>();
  private started = false;

  constructor(private readonly parts: RunnersParts) {
    this.cron = new CronScheduler({
      clock: parts.clock,
      fire: (trigger, dueAt) => this.fire(trigger, dueAt),
      handled: (trigger, through) => parts.triggers.handled(trigger.tenantId, trigger.triggerId, through),
    });
    this.consumers = new QueueConsumers({ ...parts, store: parts.queues, noted: ({ triggerId }, result) => this.note(triggerId, result) });
    parts.invocations.onEnd((head) => this.ended(head));
  }

  /** After all triggers were loaded and invocations of an earlier process were recovered. */
  start(): void {
    this.started = true;
    this.cron.start();
    this.consumers.start();
    for (const trigger of this.known.values()) if (trigger.type === 'queue') this.receive(trigger);
  }

  /** Starts nothing new; waits for what runs, at most `withinMs`. */
  async stop(withinMs: number): Promise<void> {
    this.started = false;
    await Promise.all([this.cron.stop(), this.consumers.stop(withinMs), this.parts.foreign.stop()]);
  }

  async set(trigger: Trigger): Promise<void> {
    await this.halt(trigger.triggerId);
    this.known.set(trigger.triggerId, trigger);
    if (!trigger.enabled) return;
    if (trigger.type === 'http') this.sites.set(trigger);
    else if (trigger.type === 'cron') await this.cron.set(trigger);
    else {
      this.consumers.set(trigger);
      if (this.started) this.receive(trigger);
    }
  }

  async remove(triggerId: TriggerId): Promise<void> {
    await this.halt(triggerId);
    this.known.delete(triggerId);
    this.last.delete(triggerId);
  }

  private async halt(triggerId: TriggerId): Promise<void> {
    const before = this.known.get(triggerId);
    if (before?.type === 'http') this.sites.remove(before);
    else if (before?.type === 'cron') await this.cron.remove(triggerId);
    else if (before?.type === 'queue') {
      this.parts.foreign.remove(triggerId);
      this.consumers.remove(triggerId);
    }
  }

  functionChanged(functionId: FunctionId): void {
    this.consumers.functionChanged(functionId);
  }

  async status(trigger: Trigger): Promise<TriggerStatus> {
    const lastResult = this.last.get(trigger.triggerId);
    const fn = await this.parts.findFunction(trigger.tenantId, trigger.functionId);
    const more = trigger.type === 'cron' ? this.cronStatus(trigger) : trigger.type === 'queue' ? await this.queueStatus(trigger) : {};
    return { state: stateOf(trigger, fn, lastResult, more), lastResult, ...more };
  }

  private cronStatus(trigger: CronTrigger): Pick<TriggerStatus, 'nextRuns'> {
    const after = Math.max(this.parts.clock.now(), trigger.handledThrough);
    return { nextRuns: nextRuns(parseSchedule(trigger.schedule, trigger.timezone, trigger.createdAt), after, NEXT_RUNS) };
  }

  private async queueStatus(trigger: QueueTrigger): Promise<Pick<TriggerStatus, 'lagMs' | 'depth'>> {
    const queue = await this.parts.queues.queue(trigger.tenantId, queueOf(trigger, this.parts.digest));
    const oldest = queue?.oldestSentAt;
    return { depth: queue?.depth ?? 0, lagMs: oldest === undefined ? 0 : Math.max(0, this.parts.clock.now() - oldest) };
  }

  private async fire(trigger: CronTrigger, dueAt: number): Promise<Fired> {
    const { tenantId, functionId, triggerId, qualifier } = trigger;
    const fn = await this.parts.findFunction(tenantId, functionId);
    if (!fn) {
      // Nothing is lost if this fails: the next start looks again.
      await this.parts.triggers.remove(tenantId, triggerId).catch(() => {});
      return { kind: 'gone' };
    }
    if (fn.state !== 'ENABLED') return { kind: 'skipped' };
    const scheduledTime = new Date(dueAt).toISOString();
    const answer = await this.parts.invocations.invokeAsync({
      fn,
      qualifier,
      payload: `{"scheduledTime":"${scheduledTime}","triggerId":"${triggerId}","input":${trigger.input}}`,
      // One run an instant: the durable accept knows the key, also after a crash.
      idempotencyKey: `cron:${triggerId}:${dueAt / 1000}`,
      source: { type: 'cron', triggerId },
      triggerId,
    });
    if (answer.kind === 'accepted') return { kind: answer.replayed ? 'repeated' : 'fired' };
    this.note(triggerId, { at: this.parts.clock.now(), state: 'REFUSED', code: answer.refusal.code });
    return answer.refusal.status === 429 || answer.refusal.status === 503 ? { kind: 'later', retryInMs: LATER_MS } : { kind: 'skipped' };
  }

  private receive(trigger: QueueTrigger): void {
    if (trigger.queueUrl === undefined || !trigger.enabled) return;
    const queue = queueOf(trigger, this.parts.digest);
    const failed = (code: string) => this.note(trigger.triggerId, { at: this.parts.clock.now(), state: 'REFUSED', code });
    this.parts.foreign.set(trigger, (messages) => this.take(trigger, queue, messages), failed);
  }

  /** True: durable here, so that the source may forget them. False: enough wait already. */
  private async take(trigger: QueueTrigger, queue: string, messages: NewMessage[]): Promise<boolean> {
    const now = this.parts.clock.now();
    // What is held for the source is bounded: a few batches, so that the source's own tools still see the backlog.
    const maxItems = trigger.batchSize * (trigger.maxConcurrency + 1) + messages.length;
    const held = await this.parts.queues.queue(trigger.tenantId, queue);
    if ((held?.depth ?? 0) >= maxItems) return false;
    if (messages.length === 0) return true;
    const limits = { maxItems: DEFAULTS.backlogItems, maxBytes: DEFAULTS.backlogBytes, maxQueues: DEFAULTS.queuesPerTenant };
    const done = await this.parts.queues.put({
      tenantId: trigger.tenantId,
      queue,
      messages,
      dedupeMs: DEFAULTS.queueDedupeMs,
      ...limits,
      now,
    });
    if (done.kind === 'accepted') this.consumers.wake(trigger.tenantId, queue);
    return done.kind === 'accepted';
  }

  private ended(head: Head): void {
    const triggerId = head.source?.triggerId;
    // A queue's batches are judged by what became of their messages: the consumer tells.
    if (!triggerId || head.source?.type === 'queue') return;
    this.note(triggerId, { at: head.completedAt ?? timeOf(head.requestId), state: head.state, requestId: head.requestId });
  }

  private note(triggerId: TriggerId, result: LastResult): void {
    if (this.known.has(triggerId)) this.last.set(triggerId, result);
  }
}

function stateOf(
  trigger: Trigger,
  fn: FunctionRecord | undefined,
  last: LastResult | undefined,
  { nextRuns, lagMs }: Pick<TriggerStatus, 'nextRuns' | 'lagMs'>,
): TriggerStatus['state'] {
  if (!trigger.enabled) return 'DISABLED';
  if (fn?.state !== 'ENABLED') return 'PAUSED';
  if (nextRuns?.length === 0) return 'ENDED';
  if (last && FAILED.has(last.state)) return 'FAILING';
  return (lagMs ?? 0) > DEFAULTS.queueLagMs ? 'LAGGING' : 'ENABLED';
}
