/** One field of a cron expression: its values, or what is wrong with it. */
export type Field = { values: number[] } | { fault: string };

export interface FieldKind {
  name: string;
  min: number;
  max: number;
  /** Names in order from `min`. */
  names?: readonly string[];
}

export const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'] as const;
export const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] as const;

/** Lists of `*`, values, ranges, and steps of these (`0/15`, `1-10/3`). Sorted, each value once. */
export function parseField(text: string, kind: FieldKind): Field {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const fault = addPart(part, kind, values);
    if (fault) return { fault: `${kind.name} '${text}': ${fault}` };
  }
  return { values: [...values].sort((a, b) => a - b) };
}

function addPart(part: string, kind: FieldKind, into: Set<number>): string | undefined {
  const form = /^(\*|[A-Za-z0-9]+)(?:-([A-Za-z0-9]+))?(?:\/(\d{1,4}))?$/.exec(part);
  if (!form || (form[1] === '*' && form[2])) return `'${part}' is no value, range or step`;
  const [, first = '', last, stepText] = form;
  const from = first === '*' ? kind.min : fieldValue(first, kind);
  // `5/15` runs to the end of the field; `5` is itself alone.
  const to = last ? fieldValue(last, kind) : first === '*' || stepText ? kind.max : from;
  if (from === undefined || to === undefined) return `'${part}' is outside ${kind.min}-${kind.max}`;
  if (from > to) return `the range '${part}' runs backwards`;
  const step = stepText === undefined ? 1 : Number(stepText);
  if (step < 1) return `the step of '${part}' must be 1 or more`;
  for (let value = from; value <= to; value += step) into.add(value);
  return undefined;
}

export function fieldValue(text: string, kind: FieldKind): number | undefined {
  if (/^\d+$/.test(text)) {
    const value = Number(text);
    return value >= kind.min && value <= kind.max ? value : undefined;
  }
  const at = kind.names?.indexOf(text.toUpperCase()) ?? -1;
  return at < 0 ? undefined : kind.min + at;
}
