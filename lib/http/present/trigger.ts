import type { z } from '@hono/zod-openapi';
import { rfc3339 } from '../../core/clock.js';
import type { Trigger } from '../../core/triggers/model.js';
import type { QueueView } from '../../core/triggers/port.js';
import type { SeenTrigger } from '../../core/triggers/service.js';
import type { queueSchema, triggerSchema } from '../schemas/trigger.js';

/** Where a tenant's site is: roots without a slash at the end. */
export interface SiteRoots {
  /** The tenant's own host. */
  host: string;
  /** `/http/{tenant}` on the API's host. */
  path: string;
}

export function presentTrigger({ trigger, status }: SeenTrigger, roots: SiteRoots): z.infer<typeof triggerSchema> {
  const { triggerId, type, functionId, qualifier, enabled, createdAt, updatedAt } = trigger;
  const { state, lastResult, nextRuns, depth, lagMs } = status;
  return {
    ...{ triggerId, type, functionId, qualifier, enabled, state },
    ...(lastResult && { lastResult: { ...lastResult, at: rfc3339(lastResult.at) } }),
    createdAt: rfc3339(createdAt),
    updatedAt: rfc3339(updatedAt),
    ...settings(trigger, roots),
    ...(nextRuns && { nextRuns: nextRuns.map(rfc3339) }),
    ...(depth !== undefined && { depth, lagMs }),
  };
}

function settings(trigger: Trigger, roots: SiteRoots) {
  switch (trigger.type) {
    case 'http': {
      const { path, methods, auth, idempotency, cors } = trigger;
      const shown = cors as Record<string, unknown> | undefined;
      return {
        path,
        methods,
        auth,
        idempotency,
        ...(shown && { cors: shown }),
        url: `${roots.host}${path}`,
        pathUrl: `${roots.path}${path}`,
      };
    }
    case 'cron': {
      const { schedule, timezone, input, missedRuns } = trigger;
      return { schedule, timezone, input: JSON.parse(input) as unknown, missedRuns };
    }
    case 'queue': {
      const { queue, queueUrl, batchSize, batchWindowMs, maxConcurrency } = trigger;
      return { ...(queue === undefined ? { queueUrl } : { queue }), batchSize, batchWindowMs, maxConcurrency };
    }
  }
}

export function presentQueue(
  { name, depth, inFlight, bytes, oldestSentAt, createdAt }: QueueView,
  now: number,
): z.infer<typeof queueSchema> {
  const oldestAgeMs = oldestSentAt === undefined ? 0 : Math.max(0, now - oldestSentAt);
  return { name, depth, inFlight, bytes, oldestAgeMs, createdAt: rfc3339(createdAt) };
}
