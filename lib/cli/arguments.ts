import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { usageError } from './failure.js';

/** For commander: a whole number of at least `min`. */
export const whole =
  (min: number) =>
  (text: string): number => {
    if (!/^\d{1,15}$/.test(text) || Number(text) < min) throw new InvalidArgumentError(`A whole number of at least ${min} is needed.`);
    return Number(text);
  };

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time: RFC 3339, a day, or so long ago (`10m`, `2h`, `3d`). As RFC 3339. */
export const timeArgument =
  (now: () => number = Date.now) =>
  (text: string): string => {
    const ago = /^(\d{1,6})([smhd])$/.exec(text);
    if (ago) return new Date(now() - Number(ago[1]) * (UNITS[ago[2] as string] as number)).toISOString();
    const ms = Date.parse(text);
    if (Number.isNaN(ms))
      throw new InvalidArgumentError('A time as 2026-01-31T12:00:00Z, a day as 2026-01-31, or so long ago as 10m, 2h, 3d is needed.');
    return new Date(ms).toISOString();
  };

/** Collects a repeated option. */
export const repeated = (text: string, before: string[] | undefined): string[] => [...(before ?? []), text];

/** Shells take double quotes away unless single ones stand around them. */
const JSON_HINT = `Names and texts have double quotes, and the whole single ones for the shell: '{"name":"World"}'.`;

/** JSON text as it was given, checked: the platform gets these very bytes. */
export function jsonText(text: string, what: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    const isBareText = /^[\w .-]+$/.test(text);
    const hint = isBareText ? `A text is given as JSON, with quotes: '"${text}"'.` : JSON_HINT;
    throw usageError(`${what} is not valid JSON: ${(error as Error).message}`, hint);
  }
}

/** The text of a file; `-` is standard input. */
export function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw usageError(`${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}
