import { invalidField } from '../refusal.js';
import { type CalendarRule, nextInstant, TimeZone } from './calendar.js';
import { eventBridgeCron } from './eventbridge-cron.js';
import { unixCron } from './unix-cron.js';

/** When something is due. Every instant is a whole second. */
export interface Schedule {
  /** The first due instant strictly after `afterMs`, epoch ms; undefined: never again. */
  next(afterMs: number): number | undefined;
  /** Finer than minutes: EventBridge Scheduler cannot hold it. */
  hasSeconds: boolean;
}

const ALLOWED =
  "five or six Unix fields ('*/5 * * * *', seconds first where six), 'cron(0 8 ? * MON-FRI *)', 'rate(5 minutes)', 'at(2026-12-24T18:00:00)'";
const UNIT_MS: Record<string, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/**
 * Throws a Refusal that names the field.
 * @param anchorMs where `rate(…)` counts from: the trigger's creation
 */
export function parseSchedule(text: string, timezone: string, anchorMs: number): Schedule {
  const wrong = (message: string) => invalidField('schedule', message, ALLOWED);
  if (text.length > 256) throw wrong('is longer than 256 signs');
  const zone = zoneOf(timezone);
  const form = /^(cron|rate|at)\((.*)\)$/.exec(text.trim());
  if (!form) return calendarSchedule(ruleOr(unixCron(text), wrong), zone);
  const inner = form[2] ?? '';
  if (form[1] === 'cron') return calendarSchedule(ruleOr(eventBridgeCron(inner), wrong), zone);
  const schedule = form[1] === 'rate' ? rate(inner, anchorMs) : at(inner, zone);
  if (typeof schedule === 'string') throw wrong(schedule);
  return schedule;
}

function zoneOf(name: string): TimeZone {
  const wrong = () => invalidField('timezone', `'${name.slice(0, 64)}' is no time zone`, "IANA names, as 'Asia/Shanghai' or 'UTC'");
  if (!/^[A-Za-z]/.test(name) || name.length > 64) throw wrong();
  try {
    return new TimeZone(name);
  } catch {
    throw wrong();
  }
}

function ruleOr(rule: CalendarRule | string, wrong: (message: string) => Error): CalendarRule {
  if (typeof rule === 'string') throw wrong(rule);
  return rule;
}

const calendarSchedule = (rule: CalendarRule, zone: TimeZone): Schedule => ({
  next: (afterMs) => nextInstant(rule, zone, afterMs),
  hasSeconds: rule.seconds.length !== 1 || rule.seconds[0] !== 0,
});

/** Days are 24 hours, whatever the clocks do, as in EventBridge Scheduler. */
function rate(inner: string, anchorMs: number): Schedule | string {
  const form = /^\s*(\d{1,6})\s+(minute|hour|day)s?\s*$/.exec(inner);
  const periodMs = form ? Number(form[1]) * UNIT_MS[form[2]!]! : 0;
  if (periodMs === 0) return 'rate(…) is a positive whole number and minute(s), hour(s) or day(s)';
  // The first whole second from the anchor on.
  const anchor = Math.ceil(anchorMs / 1000) * 1000;
  return {
    next: (afterMs) => anchor + Math.max(1, Math.floor((afterMs - anchor) / periodMs) + 1) * periodMs,
    hasSeconds: false,
  };
}

function at(inner: string, zone: TimeZone): Schedule | string {
  const form = /^\s*(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\s*$/.exec(inner);
  if (!form) return 'at(…) is a local time as yyyy-mm-ddThh:mm:ss';
  const [year, month, day, hour, minute, second] = form.slice(1).map(Number) as [number, number, number, number, number, number];
  const local = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  if (local.toISOString().slice(0, 19) !== inner.trim()) return 'at(…) names a date or time that no calendar has';
  const rule: CalendarRule = {
    seconds: [second],
    minutes: [minute],
    hours: [hour],
    inMonth: (y, m) => y === year && m === month,
    onDay: (date) => date.day === day,
  };
  const dueAt = nextInstant(rule, zone, local.getTime() - 2 * UNIT_MS.day!);
  if (dueAt === undefined) return `at(…) names a local time that the clocks of ${zone.name} skip`;
  return { next: (afterMs) => (dueAt > afterMs ? dueAt : undefined), hasSeconds: second !== 0 };
}

/** The next `count` instants. */
export function nextRuns(schedule: Schedule, afterMs: number, count: number): number[] {
  const runs: number[] = [];
  let last = afterMs;
  while (runs.length < count) {
    const due = schedule.next(last);
    if (due === undefined) break;
    runs.push(due);
    last = due;
  }
  return runs;
}
