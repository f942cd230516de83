import { DEFAULTS } from '../defaults.js';
import { type FieldFault, invalid } from '../refusal.js';
import type { Quotas } from './model.js';

export const DEFAULT_QUOTAS: Quotas = {
  concurrency: DEFAULTS.tenantConcurrency,
  backlogItems: DEFAULTS.backlogItems,
  backlogBytes: DEFAULTS.backlogBytes,
};

const BOUNDS: Record<keyof Quotas, readonly [number, number]> = {
  concurrency: [0, 100_000],
  backlogItems: [0, 100_000_000],
  backlogBytes: [0, 1024 * DEFAULTS.backlogBytes],
};

/** @throws Refusal 422 with every quota that is out of its bounds */
export function checkedQuotas(quotas: Partial<Quotas>): Partial<Quotas> {
  const faults: FieldFault[] = [];
  for (const [field, [min, max]] of Object.entries(BOUNDS) as [keyof Quotas, readonly [number, number]][]) {
    const value = quotas[field];
    if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) continue;
    faults.push({ field: `quotas.${field}`, message: `must be a whole number from ${min} to ${max}`, allowed: `${min}…${max}` });
  }
  if (faults.length > 0) throw invalid(faults);
  return quotas;
}
