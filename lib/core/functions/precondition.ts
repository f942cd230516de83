import { Refusal } from '../refusal.js';
import type { FunctionRecord } from './model.js';
import type { Precondition } from './service.js';

/** A strong ETag: the revision changes with every change. */
export const etagOf = (fn: FunctionRecord): string => `"${fn.revision}"`;

/** RFC 9110, 13.1: `*` is whatever is there; else one of the listed tags. */
function matches(header: string, fn: FunctionRecord | undefined): boolean {
  if (!fn) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etagOf(fn));
}

/** @throws Refusal 412 where what is stored is not what the caller has seen */
export function assertPrecondition({ ifMatch, ifNoneMatch }: Precondition, fn: FunctionRecord | undefined): void {
  if (ifMatch !== undefined && !matches(ifMatch, fn)) {
    const found = fn ? `its ETag is ${etagOf(fn)} now` : 'there is no such function';
    throw new Refusal(
      412,
      'FNS_412_CHANGED',
      `The function is not the one that If-Match names: ${found}. Get it again, then repeat the change.`,
    );
  }
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, fn)) {
    throw new Refusal(412, 'FNS_412_EXISTS', 'There is such a function already, and If-None-Match forbids to change it.');
  }
}
