import type { FunctionId, TenantId, TriggerId } from '../ids.js';
import type { ConsumerParts, Shared } from './consumer-parts.js';
import type { QueueTrigger } from './model.js';
import { QueueConsumer } from './queue-consumer.js';

/** The queue that a trigger takes from; messages of another queue service wait in one of the platform's own, which its URL names. */
export const queueOf = (trigger: QueueTrigger, digest: (...texts: string[]) => string): string =>
  trigger.queue ?? `sqs:${digest('queue-url', trigger.queueUrl ?? '').slice(0, 32)}`;

/** The consumers of all queue triggers; a queue has one at most. */
export class QueueConsumers {
  private readonly byTrigger = new Map<TriggerId, QueueConsumer>();
  private readonly shared: Shared;
  private started = false;

  constructor(private readonly parts: ConsumerParts) {
    this.shared = { ...parts, delivering: new Set(), wake: (tenantId, queue) => this.wake(tenantId, queue) };
  }

  start(): void {
    this.started = true;
    for (const consumer of this.byTrigger.values()) consumer.start();
  }

  /** Takes no new batch; resolves when the running ones are settled or `withinMs` has passed: what is left goes on after the next start. */
  async stop(withinMs: number): Promise<void> {
    this.started = false;
    const stopped = Promise.all([...this.byTrigger.values()].map((consumer) => consumer.stop()));
    let cancel = () => {};
    const late = new Promise<void>((resolve) => {
      cancel = this.parts.clock.after(withinMs, resolve);
    });
    await Promise.race([stopped, late]);
    cancel();
  }

  /** Adds a trigger, or takes over its change; batches that run are delivered to their end as they began. */
  set(trigger: QueueTrigger): void {
    this.remove(trigger.triggerId);
    const consumer = new QueueConsumer(trigger, queueOf(trigger, this.parts.digest), this.shared);
    this.byTrigger.set(trigger.triggerId, consumer);
    if (this.started) consumer.start();
  }

  /** No new batch begins. */
  remove(triggerId: TriggerId): void {
    void this.byTrigger.get(triggerId)?.stop();
    this.byTrigger.delete(triggerId);
  }

  /** Messages have come. */
  wake(tenantId: TenantId, queue: string): void {
    for (const consumer of this.byTrigger.values()) if (consumer.serves(tenantId, queue)) consumer.wake();
  }

  functionChanged(functionId: FunctionId): void {
    for (const consumer of this.byTrigger.values()) if (consumer.trigger.functionId === functionId) consumer.wake();
  }
}
