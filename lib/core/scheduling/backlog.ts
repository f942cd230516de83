import type { Priority } from '../functions/model.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { ReadyCount, ReadyEntry } from '../invocations/port.js';
import { ReadyQueue } from './ready-queue.js';

/** All ready queues of this process, and what each tenant has waiting in them. */
export class Backlog {
  private readonly queues = new Map<string, ReadyQueue>();
  private readonly byFunction = new Map<FunctionId, Set<ReadyQueue>>();
  private readonly byTenant = new Map<TenantId, Set<ReadyQueue>>();

  /** What the store held at the start: counted, read when its turn comes. */
  load(counts: readonly ReadyCount[]): ReadyQueue[] {
    return counts.map(({ tenantId, functionId, priority, count, bytes }) => {
      const queue = this.queue(tenantId, functionId, priority);
      queue.count = count;
      queue.bytes = bytes;
      queue.more = true;
      return queue;
    });
  }

  offer(entry: ReadyEntry): ReadyQueue {
    const queue = this.queue(entry.tenantId, entry.functionId, entry.priority);
    queue.offer(entry);
    return queue;
  }

  forget(queue: ReadyQueue): void {
    this.queues.delete(keyOf(queue.functionId, queue.priority));
    detach(this.byFunction, queue.functionId, queue);
    detach(this.byTenant, queue.tenantId, queue);
  }

  ofFunction(functionId: FunctionId): Iterable<ReadyQueue> {
    return this.byFunction.get(functionId) ?? [];
  }

  waiting(tenantId: TenantId): { count: number; bytes: number } {
    const sum = { count: 0, bytes: 0 };
    for (const queue of this.byTenant.get(tenantId) ?? []) {
      sum.count += queue.count;
      sum.bytes += queue.bytes;
    }
    return sum;
  }

  all(): Iterable<ReadyQueue> {
    return this.queues.values();
  }

  private queue(tenantId: TenantId, functionId: FunctionId, priority: Priority): ReadyQueue {
    const key = keyOf(functionId, priority);
    let queue = this.queues.get(key);
    if (!queue) {
      queue = new ReadyQueue(tenantId, functionId, priority);
      this.queues.set(key, queue);
      attach(this.byFunction, functionId, queue);
      attach(this.byTenant, tenantId, queue);
    }
    return queue;
  }
}

const keyOf = (functionId: FunctionId, priority: Priority): string => `${functionId}|${priority}`;

function attach<K>(index: Map<K, Set<ReadyQueue>>, key: K, queue: ReadyQueue): void {
  const set = index.get(key) ?? new Set();
  set.add(queue);
  index.set(key, set);
}

function detach<K>(index: Map<K, Set<ReadyQueue>>, key: K, queue: ReadyQueue): void {
  const set = index.get(key);
  set?.delete(queue);
  if (set?.size === 0) index.delete(key);
}
