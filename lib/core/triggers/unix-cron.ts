import type { CalendarRule } from './calendar.js';
import { type Field, type FieldKind, MONTHS, parseField, WEEKDAYS } from './fields.js';

const SECONDS: FieldKind = { name: 'seconds', min: 0, max: 59 };
const MINUTES: FieldKind = { name: 'minutes', min: 0, max: 59 };
const HOURS: FieldKind = { name: 'hours', min: 0, max: 23 };
const DAYS: FieldKind = { name: 'day of month', min: 1, max: 31 };
const MONTH: FieldKind = { name: 'month', min: 1, max: 12, names: MONTHS };
/** 0 and 7 are Sunday. */
const DAY_OF_WEEK: FieldKind = { name: 'day of week', min: 0, max: 7, names: WEEKDAYS };

const NICKNAMES: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** crontab(5): five fields, or six with seconds first. Text is the fault. */
export function unixCron(text: string): CalendarRule | string {
  const fields = (NICKNAMES[text.trim().toLowerCase()] ?? text).trim().split(/\s+/);
  if (fields.length !== 5 && fields.length !== 6) {
    return `a Unix schedule has five fields (minute hour day month weekday), or six with seconds first, not ${fields.length}`;
  }
  const [secondText, minuteText, hourText, dayText, monthText, weekdayText] = (fields.length === 6 ? fields : ['0', ...fields]).map(
    (field) => (field === '?' ? '*' : field),
  ) as [string, string, string, string, string, string];
  const seconds = parseField(secondText, SECONDS);
  const minutes = parseField(minuteText, MINUTES);
  const hours = parseField(hourText, HOURS);
  const days = parseField(dayText, DAYS);
  const months = parseField(monthText, MONTH);
  const weekdays = parseField(weekdayText, DAY_OF_WEEK);
  for (const field of [seconds, minutes, hours, days, months, weekdays]) if ('fault' in field) return field.fault;
  const inMonths = new Set(valuesOf(months));
  const inDays = new Set(valuesOf(days));
  const inWeekdays = new Set(valuesOf(weekdays).map((value) => value % 7));
  // crontab(5): where both are restricted (neither begins with *), either is enough.
  const either = !dayText.startsWith('*') && !weekdayText.startsWith('*');
  return {
    seconds: valuesOf(seconds),
    minutes: valuesOf(minutes),
    hours: valuesOf(hours),
    inMonth: (_year, month) => inMonths.has(month),
    onDay: ({ day, weekday }) => (either ? inDays.has(day) || inWeekdays.has(weekday) : inDays.has(day) && inWeekdays.has(weekday)),
  };
}

const valuesOf = (field: Field): number[] => ('values' in field ? field.values : []);
