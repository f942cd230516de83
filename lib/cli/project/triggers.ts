import { isDeepStrictEqual } from 'node:util';
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
  action: 'kept' | 'created' | 'replaced' | 'removed';
  trigger: TriggerView;
}

/** What makes a trigger the same one after a change of its settings. */
const identityOf = (trigger: TriggerSpec | TriggerView): string => {
  const { type, path, methods, schedule, timezone, queue, queueUrl } = trigger as Record<string, unknown>;
  if (type === 'http') return `http ${path} ${(Array.isArray(methods) ? [...methods].sort() : []).join()}`;
  if (type === 'cron') return `cron ${schedule} ${timezone ?? 'UTC'}`;
  return `${type} ${queue ?? queueUrl}`;
};

/** All that was asked for is there as it was asked for; what was not asked for has a default. */
const isAsAsked = (asked: TriggerSpec, there: TriggerView): boolean =>
  Object.entries(asked).every(([field, value]) => value === undefined || covers(value, there[field]));

function covers(asked: unknown, there: unknown): boolean {
  if (asked !== null && there !== null && typeof asked === 'object' && typeof there === 'object' && !Array.isArray(asked)) {
    return Object.entries(asked).every(([field, value]) => covers(value, (there as Record<string, unknown>)[field]));
  }
  return isDeepStrictEqual(Array.isArray(asked) ? [...asked].sort() : asked, Array.isArray(there) ? [...there].sort() : there);
}

/** Makes the function's triggers those of fns.yaml. Old ones go first, for two triggers can't share a route. */
export async function reconcile(api: Client, functionId: string, wanted: TriggerSpec[]): Promise<TriggerChange[]> {
  const path = `/functions/${functionId}/triggers`;
  const there = await api.all<TriggerView>(path);
  const left = [...there];
  const changes: TriggerChange[] = [];
  const missing: { spec: TriggerSpec; action: 'created' | 'replaced' }[] = [];
  for (const spec of wanted) {
    const at = left.findIndex((trigger) => isAsAsked(spec, trigger));
    if (at >= 0) changes.push({ action: 'kept', trigger: left.splice(at, 1)[0] as TriggerView });
    else missing.push({ spec, action: there.some((trigger) => identityOf(trigger) === identityOf(spec)) ? 'replaced' : 'created' });
  }
  for (const trigger of left) {
    await api.call('DELETE', `${path}/${trigger.triggerId}`);
    if (!missing.some(({ spec }) => identityOf(spec) === identityOf(trigger))) changes.push({ action: 'removed', trigger });
  }
  for (const { spec, action } of missing) changes.push({ action, trigger: await api.call<TriggerView>('POST', path, { body: spec }) });
  return changes;
}
