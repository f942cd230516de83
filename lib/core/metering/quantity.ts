import type Big from 'big.js';

/**
 * What is billed adds up in whole megabyte-milliseconds, which are integers: no sum ever rounds.
 * GB-seconds are made from them only to be shown and priced.
 */

/** 1 / (1024 MB * 1000 ms) = 9765625 / 10^13, exactly. */
const GB_SEC_NUMERATOR = 9_765_625n;
const GB_SEC_PLACES = 13;

export const mbMsOf = (memoryMb: number, billedMs: number): bigint => BigInt(memoryMb) * BigInt(billedMs);

/** Exact decimal text, without trailing zeros. */
export function gbSecOf(mbMs: bigint): string {
  const scaled = (mbMs < 0n ? -mbMs : mbMs) * GB_SEC_NUMERATOR;
  const digits = scaled.toString().padStart(GB_SEC_PLACES + 1, '0');
  const fraction = digits.slice(-GB_SEC_PLACES).replace(/0+$/, '');
  const text = digits.slice(0, -GB_SEC_PLACES) + (fraction && `.${fraction}`);
  return mbMs < 0n ? `-${text}` : text;
}

/** `(memoryMb / 1024) * (billedMs / 1000)` summed over attempts, as exact decimal text: the `gbSec` of an invocation. */
export const gbSecOfAttempts = (attempts: readonly { memoryMb: number; billedMs: number }[]): string =>
  gbSecOf(attempts.reduce((sum, a) => sum + mbMsOf(a.memoryMb, a.billedMs), 0n));

/** A decimal as text with all its digits and no exponent. */
export const plain = (value: Big): string => {
  const text = value.toFixed();
  return text === '-0' ? '0' : text;
};

/** To the smallest coin of the currency (ISO 4217), halves away from zero. The only place where money is rounded. */
export function roundMoney(exact: Big, currency: string): string {
  const places = new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
  const text = exact.toFixed(places, 1);
  return /^-0(\.0+)?$/.test(text) ? text.slice(1) : text;
}
