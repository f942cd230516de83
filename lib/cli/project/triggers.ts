import { isDeepStrictEqual } from 'node:util';
import { asFunctionId, asTenantId, asTriggerId } from '../../core/ids.js';
import type { TriggerInput } from '../../core/triggers/service.js';
import { newTrigger } from '../../core/triggers/settings.js';
import type { Client } from '../client.js';
import type { TriggerSpec } from './schema.js';

/** A trigger as the platform shows it. */
export interface TriggerView {
  triggerId: string;
  type: string;
  url?: string;
  nextRuns?: string[];
  state?: string;
  [field: string]: unknown;
}

export interface TriggerChange {
  action: 'kept' | 'changed' | 'created' | 'removed';
  trigger: TriggerView;
}

type Settings = Record<string, unknown>;

/**
 * All settings of a trigger, defaults filled in by the platform's own rules: what is taken out of fns.yaml goes back
 * to its default. Throws the Refusal that the platform would answer.
 */
export function settledTrigger(spec: TriggerSpec): Settings {
  const nobody = { triggerId: asTriggerId(''), tenantId: asTenantId(''), functionId: asFunctionId(''), now: Date.now() };
  const trigger = newTrigger(spec as TriggerInput, nobody);
  const common = { type: trigger.type, qualifier: trigger.qualifier, enabled: trigger.enabled };
  switch (trigger.type) {
    case 'http': {
      const { path, methods, auth, idempotency, cors } = trigger;
      return { ...common, path, methods, auth, idempotency, cors: cors ?? null };
    }
    case 'cron': {
      const { schedule, timezone, input, missedRuns } = trigger;
      return { ...common, schedule, timezone, input: JSON.parse(input) as unknown, missedRuns };
    }
    case 'queue': {
      const { queue, queueUrl, batchSize, batchWindowMs, maxConcurrency } = trigger;
      return { ...common, ...(queue === undefined ? { queueUrl } : { queue }), batchSize, batchWindowMs, maxConcurrency };
    }
  }
}

const sorted = (value: unknown): unknown => (Array.isArray(value) ? [...value].sort() : value);

const isSame = (wanted: Settings, there: TriggerView): boolean =>
  Object.entries(wanted).every(([field, value]) => isDeepStrictEqual(sorted(value), sorted(there[field] ?? null)));

/** The same trigger, maybe with other settings: a route by its path, a queue by its name, a schedule if it is the only one left. */
const isSameThing = (wanted: Settings, there: TriggerView): boolean =>
  wanted.type === there.type &&
  (wanted.type === 'cron' || (wanted.path === there.path && wanted.queue === there.queue && wanted.queueUrl === there.queueUrl));

/** Makes the function's triggers those of fns.yaml. What only changed keeps its id, and works all the time. */
export async function reconcile(api: Client, functionId: string, specs: TriggerSpec[]): Promise<TriggerChange[]> {
  const path = `/functions/${functionId}/triggers`;
  const left = await api.all<TriggerView>(path);
  const taken = (fits: (trigger: TriggerView) => boolean): TriggerView | undefined => {
    const at = left.findIndex(fits);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  const wanted = specs.map((spec) => {
    const settings = settledTrigger(spec);
    return { settings, kept: taken((trigger) => isSame(settings, trigger)), changed: undefined as TriggerView | undefined };
  });
  for (const each of wanted) if (!each.kept) each.changed = taken((trigger) => isSameThing(each.settings, trigger));
  const changes: TriggerChange[] = [];
  // What goes goes first: it may hold a route or a queue that another one takes over.
  for (const trigger of left) {
    await api.call('DELETE', `${path}/${trigger.triggerId}`);
    changes.push({ action: 'removed', trigger });
  }
  for (const { settings, kept, changed } of wanted) {
    if (kept) changes.push({ action: 'kept', trigger: kept });
    else if (changed)
      changes.push({
        action: 'changed',
        trigger: await api.call<TriggerView>('PATCH', `${path}/${changed.triggerId}`, { body: settings }),
      });
    else changes.push({ action: 'created', trigger: await api.call<TriggerView>('POST', path, { body: creation(settings) }) });
  }
  return changes;
}

const creation = ({ cors, ...settings }: Settings): Settings => (cors ? { ...settings, cors } : settings);
