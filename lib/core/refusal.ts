/** One field of the input that was wrong. `field` is a path such as `retry.maxRetries`. */
export interface FieldFault {
  field: string;
  message: string;
  allowed?: string;
}

/**
 * What a caller did wrong, or may not do, or must wait for: the coded refusal that the HTTP border turns into
 * problem+json (RFC 9457). Never a bug and never lost infrastructure. See docs/adr/0002-refusals.md.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  constructor(
    /** HTTP status; its three digits stand in the code too. */
    readonly status: number,
    /** `FNS_<status>_<WORD>`: callers rely on it. */
    readonly code: string,
    /** One sentence: what was wrong, where, and what is allowed. */
    detail: string,
    readonly more: { errors?: FieldFault[]; retryAfterSec?: number; headers?: Record<string, string> } = {},
  ) {
    super(detail);
  }
}

/** A function's name where its id belongs is the first mistake of everybody. */
const byNameHint = (what: string, id: string): string =>
  what === 'function' && /^(?!fn_)[\w-]{1,64}$/.test(id)
    ? ` Ids begin with fn_; GET /api/v1/functions?name=${id} finds a function by its name.`
    : '';

export const notFound = (what: string, id: string): Refusal =>
  new Refusal(
    404,
    `FNS_404_${what.toUpperCase().replace(/[^A-Z]/g, '_')}`,
    `There is no ${what} '${id.slice(0, 100)}' that this key may see.${byNameHint(what, id)}`,
  );

export const invalid = (errors: FieldFault[]): Refusal =>
  new Refusal(
    422,
    'FNS_422_INVALID',
    errors.map((e) => `${e.field}: ${e.message}${e.allowed ? ` (allowed: ${e.allowed})` : ''}`).join('; '),
    { errors },
  );

export const invalidField = (field: string, message: string, allowed?: string): Refusal => invalid([{ field, message, allowed }]);

/** Lost or broken infrastructure of ours: retried, alarmed, free for the tenant. `detail` must name no secret. */
export class PlatformFault extends Error {
  override readonly name = 'PlatformFault';
}
