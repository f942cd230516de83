import type { ZodError } from 'zod';
import type { FieldFault } from '../../core/refusal.js';
import { allowedOf } from './fields.js';

type Issue = ZodError['issues'][number];

const NOT_ALLOWED = 'is not one of the values that are allowed';

/** zod's issues as the API tells them: which field, what was wrong, what is allowed. */
export function fieldFaults(error: ZodError, target: string): FieldFault[] {
  return error.issues.flatMap((issue) => faultsOf(issue, [], target));
}

function faultsOf(issue: Issue, before: PropertyKey[], target: string): FieldFault[] {
  const path = [...before, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      field: fieldName([...path, key], target),
      message: 'is not known here',
      allowed: allowedOf(issue.message),
    }));
  }
  if (issue.code === 'invalid_union') return unionFaults(issue, path, target);
  return [{ field: fieldName(path, target), message: message(issue), allowed: allowed(issue) }];
}

/** Of a union's branches, the one that came closest: whose first fault lies deepest. */
function unionFaults(issue: Issue & { code: 'invalid_union' }, path: PropertyKey[], target: string): FieldFault[] {
  const options = 'options' in issue ? (issue.options as unknown[] | undefined) : undefined;
  if (options) return [{ field: fieldName(path, target), message: NOT_ALLOWED, allowed: options.map(String).join(', ') }];
  const depth = (branch: Issue[]): number => Math.max(0, ...branch.map((each) => each.path.length));
  const closest = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0];
  if (!closest || depth(closest) === 0)
    return [{ field: fieldName(path, target), message: 'is none of the forms that are allowed here', allowed: allowedOf(issue.message) }];
  return closest.flatMap((each) => faultsOf(each, path, target));
}

const fieldName = (path: PropertyKey[], target: string): string => (path.length === 0 ? target : path.map(String).join('.')).slice(0, 200);

function message(issue: Issue): string {
  if (issue.code === 'invalid_type' && /received undefined$/.test(issue.message)) return 'is required';
  if (issue.code === 'invalid_type')
    return issue.message.replace(/^Invalid input: expected (\S+), received (.*)$/, 'must be of type $1, not $2');
  if (issue.code === 'invalid_value') return NOT_ALLOWED;
  return issue.message;
}

function allowed(issue: Issue): string | undefined {
  if (issue.code === 'invalid_value') return issue.values.map(String).join(', ');
  const known = allowedOf(issue.message);
  if (known) return known;
  if (issue.code === 'too_small') return `at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `at most ${issue.maximum}`;
  if (issue.code === 'invalid_format' && issue.pattern) return issue.pattern;
  return undefined;
}
