/** Branded identifiers: a tenant's id can be neither forgotten nor swapped for another text. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** `default`, or what the platform admin chose: `[a-z0-9-]{1,40}`, for it is a host name label of the tenant's site. */
export type TenantId = Branded<'TenantId'>;
/** `fn_` and 20 signs of Crockford base32. */
export type FunctionId = Branded<'FunctionId'>;
/** `req_` and 26 signs of Crockford base32: 10 of them the time of acceptance, so that ids sort by age. */
export type RequestId = Branded<'RequestId'>;
/** `trg_…` */
export type TriggerId = Branded<'TriggerId'>;

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** 48 bits of epoch milliseconds as 10 signs that sort like the number. */
export const timePrefix = (epochMs: number): string => sortable(Math.max(0, Math.floor(epochMs)), 10);

/** A whole number in so many signs of Crockford base32, which sort like the number. */
export function sortable(value: number, signs: number): string {
  let text = '';
  let rest = value;
  for (let place = 0; place < signs; place += 1) {
    text = CROCKFORD[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

/** The time in an id made with `timePrefix` (after its prefix and underscore), in epoch milliseconds. */
export function timeOf(id: string): number {
  const start = id.indexOf('_') + 1;
  let ms = 0;
  for (const sign of id.slice(start, start + 10)) ms = ms * 32 + CROCKFORD.indexOf(sign);
  return ms;
}

/** Bytes as Crockford base32, 5 bits a sign, the rest dropped. */
export function base32(bytes: Uint8Array, signs: number): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5 && text.length < signs) {
      bits -= 5;
      text += CROCKFORD[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return text;
}

export const asTenantId = (text: string): TenantId => text as TenantId;
export const asFunctionId = (text: string): FunctionId => text as FunctionId;
export const asRequestId = (text: string): RequestId => text as RequestId;
export const asTriggerId = (text: string): TriggerId => text as TriggerId;
