import { DEFAULTS } from '../defaults.js';
import { LATEST } from '../functions/model.js';
import type { FunctionId, TenantId, TriggerId } from '../ids.js';
import { invalid, invalidField } from '../refusal.js';
import type { Cors, CronTrigger, HttpTrigger, QueueTrigger, Trigger } from './model.js';
import { queueAddress } from './queue-origin.js';
import { checkQueueName } from './queues.js';
import { claimsOf } from './routes.js';
import { parseSchedule } from './schedule.js';
import type { CronInput, HttpInput, QueueInput, TriggerChange, TriggerInput } from './service.js';

export interface NewIdentity {
  triggerId: TriggerId;
  tenantId: TenantId;
  functionId: FunctionId;
  now: number;
}

/** A trigger from what a caller set, defaults filled in. Throws a Refusal that names each wrong field. */
export function newTrigger(input: TriggerInput, { now, ...ids }: NewIdentity): Trigger {
  const base = {
    ...ids,
    qualifier: input.qualifier ?? LATEST,
    enabled: input.enabled ?? true,
    createdAt: now,
    updatedAt: now,
    revision: 1,
  };
  const trigger: Trigger =
    input.type === 'http'
      ? { ...base, ...httpOf(input) }
      : input.type === 'cron'
        ? { ...base, ...cronOf(input), handledThrough: now }
        : { ...base, ...queueOf(input) };
  check(trigger, now);
  return trigger;
}

const httpOf = (input: HttpInput) => ({
  type: 'http' as const,
  path: input.path,
  methods: input.methods?.length ? [...new Set(input.methods)] : ['ANY' as const],
  auth: input.auth ?? 'key',
  cors: input.cors && corsOf(input.cors),
  idempotency: input.idempotency ?? false,
});

const corsOf = (input: Partial<Cors>): Cors => ({
  allowOrigins: input.allowOrigins ?? ['*'],
  allowMethods: input.allowMethods ?? [],
  allowHeaders: input.allowHeaders ?? ['*'],
  exposeHeaders: input.exposeHeaders ?? [],
  allowCredentials: input.allowCredentials ?? false,
  maxAgeSec: input.maxAgeSec ?? 600,
});

const cronOf = (input: CronInput) => ({
  type: 'cron' as const,
  schedule: input.schedule,
  timezone: input.timezone ?? 'UTC',
  input: JSON.stringify(input.input ?? {}),
  missedRuns: input.missedRuns ?? ('once' as const),
});

const queueOf = (input: QueueInput) => ({
  type: 'queue' as const,
  queue: input.queue,
  queueUrl: input.queueUrl,
  batchSize: input.batchSize ?? DEFAULTS.queueBatchSize,
  batchWindowMs: input.batchWindowMs ?? 0,
  maxConcurrency: input.maxConcurrency ?? DEFAULTS.queueTriggerConcurrency,
});

function check(trigger: Trigger, now: number): void {
  if (trigger.qualifier !== LATEST && !/^[1-9]\d{0,8}$/.test(trigger.qualifier)) {
    throw invalidField('qualifier', 'names no version', `'${LATEST}' or a version number`);
  }
  if (trigger.type === 'http') checkHttp(trigger);
  else if (trigger.type === 'cron') checkCron(trigger, now);
  else checkQueue(trigger);
}

function checkHttp(trigger: HttpTrigger): void {
  claimsOf(trigger.path, trigger.methods);
  // A browser takes no answer with credentials for any origin (Fetch standard, CORS check).
  if (trigger.cors?.allowCredentials && trigger.cors.allowOrigins.includes('*')) {
    throw invalidField('cors.allowOrigins', "cannot be '*' where credentials are allowed", 'origins by name');
  }
}

function checkCron(trigger: CronTrigger, now: number): void {
  const schedule = parseSchedule(trigger.schedule, trigger.timezone, trigger.createdAt);
  if (schedule.next(now) === undefined)
    throw invalidField('schedule', 'is never due from now on', 'a schedule with an instant in the future');
  if (trigger.input.length > DEFAULTS.payloadAsyncBytes / 2) throw invalidField('input', 'is too large', 'at most 512 KB of JSON');
}

function checkQueue(trigger: QueueTrigger): void {
  if ((trigger.queue === undefined) === (trigger.queueUrl === undefined)) {
    const message = 'name one of both';
    throw invalid(['queue', 'queueUrl'].map((field) => ({ field, message, allowed: "'queue' (FNS's own) or 'queueUrl' (SQS)" })));
  }
  if (trigger.queue !== undefined) checkQueueName('queue', trigger.queue);
  if (trigger.queueUrl !== undefined) queueAddress(trigger.queueUrl);
}

/** What belongs to which type: what else is set is refused by name. */
const FIELDS: Record<Trigger['type'], readonly string[]> = {
  http: ['path', 'methods', 'auth', 'cors', 'idempotency'],
  cron: ['schedule', 'timezone', 'input', 'missedRuns'],
  queue: ['queue', 'queueUrl', 'batchSize', 'batchWindowMs', 'maxConcurrency'],
};
const COMMON = ['type', 'qualifier', 'enabled'];

export function changedTrigger(before: Trigger, change: TriggerChange, now: number): Trigger {
  if (change.type !== undefined && change.type !== before.type) throw invalidField('type', 'cannot change', `'${before.type}'`);
  const known = [...COMMON, ...FIELDS[before.type]];
  const unknown = Object.keys(change).filter((field) => !known.includes(field));
  if (unknown.length > 0) {
    throw invalid(unknown.map((field) => ({ field, message: `is not known for a ${before.type} trigger`, allowed: known.join(', ') })));
  }
  const after = { ...merged(before, change, now), updatedAt: now, revision: before.revision + 1 };
  check(after, now);
  return after;
}

function merged(before: Trigger, change: TriggerChange, now: number): Trigger {
  const base = { ...before, qualifier: change.qualifier ?? before.qualifier, enabled: change.enabled ?? before.enabled };
  if (base.type === 'http') return mergedHttp(base, change);
  if (base.type === 'cron') return mergedCron(base, before.enabled, change, now);
  const { queue, queueUrl, batchSize, batchWindowMs, maxConcurrency } = change;
  // A new source replaces the old one, whichever of the two it was.
  const source = queue === undefined && queueUrl === undefined ? {} : { queue, queueUrl };
  return { ...base, ...source, ...defined({ batchSize, batchWindowMs, maxConcurrency }) };
}

function mergedHttp(base: HttpTrigger, change: TriggerChange): HttpTrigger {
  const { path, methods, auth, idempotency, cors } = change;
  return {
    ...base,
    ...defined({ path, auth, idempotency }),
    ...(methods?.length ? { methods: [...new Set(methods)] } : {}),
    ...(cors === undefined ? {} : { cors: cors === null ? undefined : corsOf({ ...base.cors, ...cors }) }),
  };
}

/** What was due before the change, or while it was off, is not made up. */
function mergedCron(base: CronTrigger, wasEnabled: boolean, change: TriggerChange, now: number): CronTrigger {
  const { schedule, timezone, missedRuns } = change;
  const after = {
    ...base,
    ...defined({ schedule, timezone, missedRuns }),
    ...('input' in change ? { input: JSON.stringify(change.input ?? {}) } : {}),
  };
  const isNew = after.schedule !== base.schedule || after.timezone !== base.timezone || (base.enabled && !wasEnabled);
  return isNew ? { ...after, handledThrough: Math.max(after.handledThrough, now) } : after;
}

function defined<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** What no two triggers of a tenant may share. */
export function claimsOfTrigger(trigger: Trigger): string[] {
  if (trigger.type === 'http') return claimsOf(trigger.path, trigger.methods);
  if (trigger.type === 'queue') return [trigger.queue === undefined ? `queueUrl ${trigger.queueUrl}` : `queue ${trigger.queue}`];
  return [];
}
