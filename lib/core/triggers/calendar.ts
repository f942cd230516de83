/**
 * Calendar arithmetic for schedules, over the time zone data of the runtime (Intl). One rule for both syntaxes, that of
 * EventBridge Scheduler (its user guide, "Schedule types", "Daylight savings time"): a local time that the clocks skip is skipped,
 * a local time that comes twice counts once, its first time. Where the hours are unrestricted the schedule counts real time and
 * runs through both hours: `every minute` stays every minute.
 */

const SEC = 1000;
const HOUR_MS = 3600 * SEC;
const DAY_MS = 24 * HOUR_MS;
/** EventBridge knows the years 1970-2199. */
export const LAST_YEAR = 2199;

/** `weekday` 0 = Sunday; `lastDay` of the month. */
export interface CalendarDay {
  day: number;
  weekday: number;
  lastDay: number;
}

export interface CalendarRule {
  /** Each sorted. */
  seconds: number[];
  minutes: number[];
  hours: number[];
  /** Quick no for a whole month, 1-12. */
  inMonth(year: number, month: number): boolean;
  onDay(date: CalendarDay): boolean;
}

export class TimeZone {
  private readonly format: Intl.DateTimeFormat | undefined;

  /** Throws RangeError for a name that the runtime does not know. */
  constructor(readonly name: string) {
    const isUtc = name === 'UTC' || name === 'Etc/UTC';
    this.format = isUtc
      ? undefined
      : new Intl.DateTimeFormat('en-US', {
          timeZone: name,
          hourCycle: 'h23',
          year: 'numeric',
          month: 'numeric',
          day: 'numeric',
          hour: 'numeric',
          minute: 'numeric',
          second: 'numeric',
        });
  }

  /** Local minus UTC, ms. */
  offsetMs(epochMs: number): number {
    if (!this.format) return 0;
    const field: Record<string, number> = {};
    for (const { type, value } of this.format.formatToParts(epochMs)) field[type] = Number(value);
    const local = Date.UTC(field.year!, field.month! - 1, field.day!, field.hour!, field.minute!, field.second!);
    return local - Math.floor(epochMs / SEC) * SEC;
  }
}

/** A stretch of time without a change of offset. `from` is included, `to` not; epoch ms. */
interface Stretch {
  from: number;
  to: number;
  offsetMs: number;
}

/** All instants that a local day (`dayStart` = its midnight as if it were UTC) can hold lie here: offsets go from -12 h to +14 h. */
const spanOf = (dayStart: number): [number, number] => [dayStart - 15 * HOUR_MS, dayStart + DAY_MS + 13 * HOUR_MS];
/** No zone changes its offset and changes back within this. */
const PROBE_MS = 6 * HOUR_MS;

function stretches(zone: TimeZone, from: number, to: number): Stretch[] {
  const found: Stretch[] = [];
  let start = from;
  let offset = zone.offsetMs(from);
  for (let probe = Math.min(from + PROBE_MS, to); ; probe = Math.min(probe + PROBE_MS, to)) {
    const there = zone.offsetMs(probe);
    if (there !== offset) {
      const change = changeBetween(zone, Math.max(start, probe - PROBE_MS), probe, offset);
      found.push({ from: start, to: change, offsetMs: offset });
      start = change;
      offset = there;
    }
    if (probe >= to) break;
  }
  found.push({ from: start, to, offsetMs: offset });
  return found;
}

/** The first whole second at which the offset is no longer `before`. */
function changeBetween(zone: TimeZone, low: number, high: number, before: number): number {
  let lo = Math.floor(low / SEC);
  let hi = Math.ceil(high / SEC);
  while (hi - lo > 1) {
    const middle = Math.floor((lo + hi) / 2);
    if (zone.offsetMs(middle * SEC) === before) lo = middle;
    else hi = middle;
  }
  return hi * SEC;
}

/** The first whole second strictly after `afterMs` that the rule names; undefined: never again. */
export function nextInstant(rule: CalendarRule, zone: TimeZone, afterMs: number): number | undefined {
  const earliest = Math.floor(afterMs / SEC) * SEC + SEC;
  const localNow = earliest + zone.offsetMs(earliest);
  // From the day before: where clocks go back over midnight, a day that had ended begins again.
  let day = Math.floor(localNow / DAY_MS) * DAY_MS - DAY_MS;
  for (;;) {
    const date = new Date(day);
    const year = date.getUTCFullYear();
    const month = date.getUTCMonth() + 1;
    if (year > LAST_YEAR) return undefined;
    if (!rule.inMonth(year, month)) {
      day = Date.UTC(year, month, 1);
      continue;
    }
    const found = firstOnDay(rule, zone, day, earliest);
    // For the same reason the next day may have an earlier one.
    if (found !== undefined) return Math.min(found, firstOnDay(rule, zone, day + DAY_MS, earliest) ?? found);
    day += DAY_MS;
  }
}

function isRunDay(rule: CalendarRule, dayStart: number): boolean {
  const date = new Date(dayStart);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth() + 1;
  if (year > LAST_YEAR || !rule.inMonth(year, month)) return false;
  const lastDay = new Date(Date.UTC(year, month, 0)).getUTCDate();
  return rule.onDay({ day: date.getUTCDate(), weekday: date.getUTCDay(), lastDay });
}

function firstOnDay(rule: CalendarRule, zone: TimeZone, dayStart: number, earliest: number): number | undefined {
  if (!isRunDay(rule, dayStart)) return undefined;
  const everyHour = rule.hours.length === 24;
  const [from, to] = spanOf(dayStart);
  let localSeen = Number.NEGATIVE_INFINITY;
  for (const stretch of stretches(zone, from, to)) {
    const localFrom = stretch.from + stretch.offsetMs;
    const localTo = stretch.to + stretch.offsetMs;
    let low = Math.max(dayStart, localFrom, earliest + stretch.offsetMs);
    // What came before, in the stretch that ended, is not run again.
    if (!everyHour) low = Math.max(low, localSeen);
    const high = Math.min(dayStart + DAY_MS, localTo);
    localSeen = Math.max(localSeen, localTo);
    if (low >= high) continue;
    const secondOfDay = firstSecond(rule, (low - dayStart) / SEC, (high - dayStart) / SEC);
    if (secondOfDay !== undefined) return dayStart + secondOfDay * SEC - stretch.offsetMs;
  }
  return undefined;
}

/** The first second of the day in [low, high) that the rule names. */
function firstSecond(rule: CalendarRule, low: number, high: number): number | undefined {
  for (const hour of rule.hours) {
    if (hour * 3600 + 3599 < low) continue;
    for (const minute of rule.minutes) {
      const base = hour * 3600 + minute * 60;
      if (base + 59 < low) continue;
      if (base >= high) return undefined;
      for (const second of rule.seconds) {
        const at = base + second;
        if (at >= low) return at < high ? at : undefined;
      }
    }
  }
  return undefined;
}
