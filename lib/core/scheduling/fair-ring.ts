import type { Priority } from '../functions/model.js';
import type { FunctionId, TenantId } from '../ids.js';

/**
 * Which queue's turn it is: deficit round robin (Shreedhar & Varghese, SIGCOMM 1995) over tenants and, within a
 * tenant, over its functions; priorities share 6:3:1. Pure: time comes in as an argument.
 */
export interface Queued {
  readonly tenantId: TenantId;
  readonly functionId: FunctionId;
  readonly priority: Priority;
}

const WEIGHTS: Record<Priority, number> = { high: 6, normal: 3, low: 1 };

/** Handler time that a tenant may take in one turn, milliseconds. */
const QUANTUM_MS = 10;

interface TenantRing<Q> {
  tenantId: TenantId;
  queues: Q[];
  deficitMs: number;
}

/** The tenants of one priority, in the order of their turns. */
class PriorityRing<Q extends Queued> {
  readonly tenants: TenantRing<Q>[] = [];
  readonly byTenant = new Map<TenantId, TenantRing<Q>>();

  add(queue: Q): void {
    let ring = this.byTenant.get(queue.tenantId);
    if (!ring) {
      ring = { tenantId: queue.tenantId, queues: [], deficitMs: 0 };
      this.byTenant.set(queue.tenantId, ring);
      this.tenants.push(ring);
    }
    if (!ring.queues.includes(queue)) ring.queues.push(queue);
  }

  remove(queue: Q): void {
    const ring = this.byTenant.get(queue.tenantId);
    if (!ring) return;
    ring.queues = ring.queues.filter((other) => other !== queue);
    if (ring.queues.length > 0) return;
    this.byTenant.delete(queue.tenantId);
    this.tenants.splice(this.tenants.indexOf(ring), 1);
  }

  next(costMs: (queue: Q) => number): Q | undefined {
    // Every pass over the ring gives each tenant a quantum, so the loop ends once one can pay for its next call.
    while (this.tenants.length > 0) {
      const ring = this.tenants[0] as TenantRing<Q>;
      const queue = ring.queues[0] as Q;
      const cost = Math.min(costMs(queue), QUANTUM_MS * 10);
      if (ring.deficitMs >= cost) {
        ring.deficitMs -= cost;
        ring.queues.push(ring.queues.shift() as Q);
        return queue;
      }
      ring.deficitMs += QUANTUM_MS;
      this.tenants.push(this.tenants.shift() as TenantRing<Q>);
    }
    return undefined;
  }
}

export class FairRing<Q extends Queued> {
  private readonly rings: Record<Priority, PriorityRing<Q>> = {
    high: new PriorityRing(),
    normal: new PriorityRing(),
    low: new PriorityRing(),
  };
  private readonly credit: Record<Priority, number> = { high: 0, normal: 0, low: 0 };

  add(queue: Q): void {
    this.rings[queue.priority].add(queue);
  }

  remove(queue: Q): void {
    this.rings[queue.priority].remove(queue);
  }

  /** @param costMs what one call of the queue is expected to take. */
  next(costMs: (queue: Q) => number): Q | undefined {
    const priority = this.turn();
    return priority && this.rings[priority].next(costMs);
  }

  /** Smooth weighted round robin (as in nginx): low never starves, for its credit rises while others are served. */
  private turn(): Priority | undefined {
    let best: Priority | undefined;
    let total = 0;
    for (const priority of ['high', 'normal', 'low'] as const) {
      if (this.rings[priority].tenants.length === 0) {
        this.credit[priority] = 0;
        continue;
      }
      this.credit[priority] += WEIGHTS[priority];
      total += WEIGHTS[priority];
      if (!best || this.credit[priority] > this.credit[best]) best = priority;
    }
    if (best) this.credit[best] -= total;
    return best;
  }
}
