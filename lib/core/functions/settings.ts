import { DEFAULTS } from '../defaults.js';
import { type FieldFault, invalid } from '../refusal.js';
import { canonicalRuntime, type FunctionRecord, type Runtime } from './model.js';
import { runtimeFault } from './runtimes.js';
import type { FunctionSettings } from './service.js';

/** What a caller may set, complete: the part of a record that settings decide. */
export type Settled = Pick<
  FunctionRecord,
  | 'runtime'
  | 'handler'
  | 'description'
  | 'tags'
  | 'memoryMb'
  | 'timeoutSec'
  | 'env'
  | 'layers'
  | 'processModel'
  | 'network'
  | 'concurrency'
  | 'retry'
  | 'scaling'
  | 'priority'
>;

/** What stands where nothing was said. The runtime has no default. */
const PLAIN: Omit<Settled, 'runtime'> = {
  handler: 'index.handler',
  description: '',
  tags: {},
  memoryMb: DEFAULTS.memoryMb,
  timeoutSec: DEFAULTS.timeoutSec,
  env: {},
  layers: [],
  processModel: 'resident',
  network: 'internet',
  concurrency: { perSlot: 1 },
  retry: DEFAULTS.retry,
  scaling: { min: 0 },
  priority: 'normal',
};

export interface Limits {
  here: ReadonlySet<Runtime>;
  /** Of the tenant: no function can reserve more. */
  concurrency: number;
}

/**
 * The settings that follow from what was asked, over what stood before (patch) or over the defaults (create, put):
 * objects that are policies merge, `env`, `tags` and `layers` are replaced as a whole.
 * @throws Refusal 422 with every field that is wrong
 */
export function settle(asked: FunctionSettings, before: Settled | undefined, limits: Limits): Settled {
  const base = before ?? { ...PLAIN, runtime: 'nodejs20' as Runtime };
  const faults: FieldFault[] = [];
  if (asked.runtime !== undefined) push(faults, runtimeFault(asked.runtime, limits.here));
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)) as FunctionSettings;
  const settled: Settled = {
    ...base,
    ...pick(given),
    runtime: (asked.runtime === undefined ? undefined : canonicalRuntime(asked.runtime)) ?? base.runtime,
    concurrency: { ...base.concurrency, ...defined(given.concurrency) },
    retry: { ...base.retry, ...defined(given.retry) },
    scaling: { ...base.scaling, ...defined(given.scaling) },
  };
  faults.push(...settingFaults(settled, limits));
  if (faults.length > 0) throw invalid(faults);
  return settled;
}

const push = (faults: FieldFault[], fault: FieldFault | undefined): void => void (fault && faults.push(fault));
const defined = <T extends object>(part: T | undefined): Partial<T> =>
  Object.fromEntries(Object.entries(part ?? {}).filter(([, value]) => value !== undefined)) as Partial<T>;

/** Only what settings decide: a caller's object may carry a name, code or more. */
function pick(given: FunctionSettings): Partial<Settled> {
  const { handler, description, tags, memoryMb, timeoutSec, env, layers, processModel, network, priority } = given;
  return defined({ handler, description, tags, memoryMb, timeoutSec, env, layers, processModel, network, priority });
}

function settingFaults(settled: Settled, limits: Limits): FieldFault[] {
  const { concurrency, retry, scaling, memoryMb, timeoutSec } = settled;
  const faults: FieldFault[] = [];
  const range = (field: string, value: number | undefined, min: number, max: number): void => {
    if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
    faults.push({ field, message: `must be a whole number from ${min} to ${max}`, allowed: `${min}…${max}` });
  };
  range('memoryMb', memoryMb, DEFAULTS.memoryMbMin, DEFAULTS.memoryMbMax);
  range('timeoutSec', timeoutSec, DEFAULTS.timeoutSecMin, DEFAULTS.timeoutSecMax);
  range('retry.maxRetries', retry.maxRetries, 0, DEFAULTS.maxRetriesMax);
  range('retry.baseDelayMs', retry.baseDelayMs, 0, 3_600_000);
  range('retry.maxAgeSec', retry.maxAgeSec, 1, 1_209_600);
  range('concurrency.perSlot', concurrency.perSlot, 1, DEFAULTS.perSlotMax);
  range('concurrency.max', concurrency.max, 1, 100_000);
  range('concurrency.reserved', concurrency.reserved, 0, Math.min(limits.concurrency, concurrency.max ?? limits.concurrency));
  range('scaling.min', scaling.min, 0, Math.min(1000, scaling.max ?? 1000));
  range('scaling.max', scaling.max, 1, 100_000);
  if (settled.processModel === 'one-shot' && concurrency.perSlot > 1) {
    faults.push({ field: 'concurrency.perSlot', message: 'a one-shot process runs one call only', allowed: '1' });
  }
  if (settled.layers.length > 0)
    faults.push({ field: 'layers', message: `there is no layer '${settled.layers[0]?.slice(0, 80)}'`, allowed: 'an empty list' });
  push(faults, handlerFault(settled));
  faults.push(...textFaults(settled), ...envFaults(settled.env));
  return faults;
}

function handlerFault({ runtime, handler }: Settled): FieldFault | undefined {
  if (!/^(nodejs|python)/.test(runtime)) return undefined;
  const path = handler.slice(0, handler.lastIndexOf('.'));
  if (/^[^\s.][^\s]*\.[A-Za-z_$][\w$]*$/.test(handler) && !path.startsWith('/') && !path.split('/').includes('..') && handler.length <= 256)
    return undefined;
  return { field: 'handler', message: 'must name a file and what it exports', allowed: 'file.export, as index.handler or src/app.handle' };
}

function textFaults({ description, tags }: Settled): FieldFault[] {
  const faults: FieldFault[] = [];
  if (description.length > DEFAULTS.descriptionChars)
    faults.push({ field: 'description', message: 'is too long', allowed: `at most ${DEFAULTS.descriptionChars} characters` });
  if (Object.keys(tags).length > DEFAULTS.tags)
    faults.push({ field: 'tags', message: 'are too many', allowed: `at most ${DEFAULTS.tags}` });
  return faults;
}

/** Names that would act on the process that starts a slot, or that the slot sets itself. */
const TAKEN =
  /^(FNS_|LD_|DYLD_|AWS_LAMBDA_|_HANDLER$|_X_AMZN_|LAMBDA_TASK_ROOT$|LAMBDA_RUNTIME_DIR$|NODE_OPTIONS$|NODE_CHANNEL_|NODE_EXTRA_CA_CERTS$|PYTHONSTARTUP$|PYTHONHOME$)/;

function envFaults(env: Record<string, string>): FieldFault[] {
  const faults: FieldFault[] = [];
  let bytes = 0;
  for (const [name, value] of Object.entries(env)) {
    const field = `env.${name.slice(0, 80)}`;
    bytes += name.length + new TextEncoder().encode(value).length + 2;
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      faults.push({ field, message: 'is no name of a variable', allowed: '[A-Za-z_][A-Za-z0-9_]*' });
    else if (TAKEN.test(name)) faults.push({ field, message: 'is set by the platform or acts on it, and cannot be set here' });
    if (value.includes('\0')) faults.push({ field, message: 'holds a NUL, which no environment can hold' });
  }
  if (bytes > DEFAULTS.envBytes)
    faults.push({ field: 'env', message: `takes ${bytes} bytes`, allowed: `at most ${DEFAULTS.envBytes} bytes` });
  return faults.slice(0, 20);
}
