import type { CalendarDay, CalendarRule } from './calendar.js';
import { type FieldKind, fieldValue, MONTHS, parseField, WEEKDAYS } from './fields.js';

/** https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based */
const MINUTES: FieldKind = { name: 'minutes', min: 0, max: 59 };
const HOURS: FieldKind = { name: 'hours', min: 0, max: 23 };
const DAYS: FieldKind = { name: 'day-of-month', min: 1, max: 31 };
const MONTH: FieldKind = { name: 'month', min: 1, max: 12, names: MONTHS };
/** 1 is Sunday, unlike Unix. */
const DAY_OF_WEEK: FieldKind = { name: 'day-of-week', min: 1, max: 7, names: WEEKDAYS };
const YEAR: FieldKind = { name: 'year', min: 1970, max: 2199 };

type DayTest = (date: CalendarDay) => boolean;

/** The inner text of `cron(…)`; text is the fault. */
export function eventBridgeCron(inner: string): CalendarRule | string {
  const fields = inner.trim().split(/\s+/);
  if (fields.length !== 6) return `cron(…) has six fields (minutes hours day-of-month month day-of-week year), not ${fields.length}`;
  const [minuteText, hourText, dayText, monthText, weekdayText, yearText] = fields as [string, string, string, string, string, string];
  if ((dayText === '?') === (weekdayText === '?')) return "one of day-of-month and day-of-week must be '?', and only one";
  const minutes = parseField(minuteText, MINUTES);
  const hours = parseField(hourText, HOURS);
  const months = parseField(monthText, MONTH);
  const years = parseField(yearText, YEAR);
  for (const field of [minutes, hours, months, years]) if ('fault' in field) return field.fault;
  const onDay = weekdayText === '?' ? dayOfMonth(dayText) : dayOfWeek(weekdayText);
  if (typeof onDay === 'string') return onDay;
  const inYears = new Set(valuesOf(years));
  const inMonths = new Set(valuesOf(months));
  return {
    seconds: [0],
    minutes: valuesOf(minutes),
    hours: valuesOf(hours),
    inMonth: (year, month) => inYears.has(year) && inMonths.has(month),
    onDay,
  };
}

const valuesOf = (field: ReturnType<typeof parseField>): number[] => ('values' in field ? field.values : []);

function dayOfMonth(text: string): DayTest | string {
  const upper = text.toUpperCase();
  if (upper === 'L') return ({ day, lastDay }) => day === lastDay;
  if (upper === 'LW') return (date) => date.day === nearestWeekday(date.lastDay, date);
  const weekday = /^(\d{1,2})W$/.exec(upper);
  if (weekday) {
    const wanted = Number(weekday[1]);
    if (wanted < 1 || wanted > 31) return `day-of-month '${text}': the day is outside 1-31`;
    return (date) => wanted <= date.lastDay && date.day === nearestWeekday(wanted, date);
  }
  if (/[LW]/.test(upper)) return `day-of-month '${text}': L and W stand alone, as 'L', 'LW' or '15W'`;
  const field = parseField(text, DAYS);
  if ('fault' in field) return field.fault;
  const days = new Set(field.values);
  return ({ day }) => days.has(day);
}

/** The weekday (Monday to Friday) closest to `wanted`, never in another month. */
function nearestWeekday(wanted: number, { day, weekday, lastDay }: CalendarDay): number {
  const its = (((weekday + wanted - day) % 7) + 7) % 7;
  if (its === 6) return wanted > 1 ? wanted - 1 : wanted + 2;
  if (its === 0) return wanted < lastDay ? wanted + 1 : wanted - 2;
  return wanted;
}

function dayOfWeek(text: string): DayTest | string {
  const upper = text.toUpperCase();
  // The last day of the week.
  if (upper === 'L') return ({ weekday }) => weekday === 6;
  const last = /^([1-7]|[A-Z]{3})L$/.exec(upper);
  if (last) {
    const wanted = fieldValue(last[1]!, DAY_OF_WEEK);
    if (wanted === undefined) return `day-of-week '${text}': no such day`;
    return ({ day, weekday, lastDay }) => weekday === wanted - 1 && day + 7 > lastDay;
  }
  if (upper.includes('#')) return nthWeekday(upper);
  const field = parseField(text, DAY_OF_WEEK);
  if ('fault' in field) return field.fault;
  const days = new Set(field.values.map((value) => value - 1));
  return ({ weekday }) => days.has(weekday);
}

/** `3#2`: the second Tuesday. One such expression only. */
function nthWeekday(text: string): DayTest | string {
  const form = /^([1-7]|[A-Z]{3})#([1-5])$/.exec(text);
  const wanted = form && fieldValue(form[1]!, DAY_OF_WEEK);
  if (!form || !wanted) return `day-of-week '${text}': '#' is written as '3#2' (the second Tuesday), once`;
  const nth = Number(form[2]);
  return ({ day, weekday }) => weekday === wanted - 1 && Math.ceil(day / 7) === nth;
}
