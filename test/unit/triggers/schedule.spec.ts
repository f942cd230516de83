import fc from 'fast-check';
import { eventBridgeCron } from '../../../lib/core/triggers/eventbridge-cron.js';
import { nextRuns, parseSchedule } from '../../../lib/core/triggers/schedule.js';

const at = (text: string): number => Date.parse(text);
const iso = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toISOString().replace('.000Z', 'Z');
const runs = (schedule: string, zone: string, after: string, count = 3) =>
  nextRuns(parseSchedule(schedule, zone, at(after)), at(after), count).map(iso);

describe('schedules', () => {
  it.each([
    ['* * * * * *', 'Asia/Shanghai', '2026-11-20T10:00:00.500Z', ['2026-11-20T10:00:01Z', '2026-11-20T10:00:02Z', '2026-11-20T10:00:03Z']],
    ['*/20 * * * *', 'UTC', '2026-11-20T10:00:00Z', ['2026-11-20T10:20:00Z', '2026-11-20T10:40:00Z', '2026-11-20T11:00:00Z']],
    ['0 9 * * MON-FRI', 'Asia/Shanghai', '2026-11-20T01:00:00Z', ['2026-11-23T01:00:00Z', '2026-11-24T01:00:00Z', '2026-11-25T01:00:00Z']],
    ['0 0 13 * 5', 'UTC', '2026-11-07T00:00:00Z', ['2026-11-13T00:00:00Z', '2026-11-20T00:00:00Z', '2026-11-27T00:00:00Z']],
    ['0 0 29 2 *', 'UTC', '2026-11-20T00:00:00Z', ['2028-02-29T00:00:00Z', '2032-02-29T00:00:00Z', '2036-02-29T00:00:00Z']],
    ['@daily', 'UTC', '2026-12-31T00:00:00Z', ['2027-01-01T00:00:00Z', '2027-01-02T00:00:00Z', '2027-01-03T00:00:00Z']],
    ['cron(0 8 ? * 2-6 *)', 'UTC', '2026-11-20T08:00:00Z', ['2026-11-23T08:00:00Z', '2026-11-24T08:00:00Z', '2026-11-25T08:00:00Z']],
    ['cron(15 10 L * ? *)', 'UTC', '2026-11-20T00:00:00Z', ['2026-11-30T10:15:00Z', '2026-12-31T10:15:00Z', '2027-01-31T10:15:00Z']],
    ['cron(0 0 LW * ? *)', 'UTC', '2027-01-01T00:00:00Z', ['2027-01-29T00:00:00Z', '2027-02-26T00:00:00Z', '2027-03-31T00:00:00Z']],
    ['cron(0 0 15W * ? *)', 'UTC', '2026-11-01T00:00:00Z', ['2026-11-16T00:00:00Z', '2026-12-15T00:00:00Z', '2027-01-15T00:00:00Z']],
    ['cron(0 0 1W 8 ? *)', 'UTC', '2026-01-01T00:00:00Z', ['2026-08-03T00:00:00Z', '2027-08-02T00:00:00Z', '2028-08-01T00:00:00Z']],
    ['cron(0 0 ? * 3#2 *)', 'UTC', '2026-11-01T00:00:00Z', ['2026-11-10T00:00:00Z', '2026-12-08T00:00:00Z', '2027-01-12T00:00:00Z']],
    ['cron(0 0 ? * 6L *)', 'UTC', '2026-11-01T00:00:00Z', ['2026-11-27T00:00:00Z', '2026-12-25T00:00:00Z', '2027-01-29T00:00:00Z']],
    ['cron(0 0 ? * L *)', 'UTC', '2026-11-01T00:00:00Z', ['2026-11-07T00:00:00Z', '2026-11-14T00:00:00Z', '2026-11-21T00:00:00Z']],
    ['cron(1/10 5 * * ? 2199)', 'UTC', '2199-12-31T05:31:00Z', ['2199-12-31T05:41:00Z', '2199-12-31T05:51:00Z']],
    ['rate(5 minutes)', 'UTC', '2026-11-20T10:00:00.200Z', ['2026-11-20T10:05:01Z', '2026-11-20T10:10:01Z', '2026-11-20T10:15:01Z']],
    ['rate(1 day)', 'America/New_York', '2026-10-31T12:00:00Z', ['2026-11-01T12:00:00Z', '2026-11-02T12:00:00Z', '2026-11-03T12:00:00Z']],
    ['at(2026-12-24T18:00:00)', 'Europe/Berlin', '2026-11-20T10:00:00Z', ['2026-12-24T17:00:00Z']],
    ['at(2020-01-01T00:00:00)', 'UTC', '2026-11-20T10:00:00Z', []],
  ])('%s in %s after %s', (schedule, zone, after, expected) => {
    expect(runs(schedule, zone, after)).toEqual(expected);
  });

  it('skips a local time that the clocks skip', () => {
    expect(runs('30 2 * * *', 'America/New_York', '2026-03-07T12:00:00Z', 2)).toEqual(['2026-03-09T06:30:00Z', '2026-03-10T06:30:00Z']);
    expect(runs('cron(30 2 * * ? *)', 'America/New_York', '2026-03-07T12:00:00Z', 1)).toEqual(['2026-03-09T06:30:00Z']);
  });

  it('runs a local time that comes twice once, the first time', () => {
    expect(runs('30 1 * * *', 'America/New_York', '2026-10-31T12:00:00Z', 2)).toEqual(['2026-11-01T05:30:00Z', '2026-11-02T06:30:00Z']);
  });

  it('runs every hour of real time where the hours are not restricted', () => {
    expect(runs('30 * * * *', 'America/New_York', '2026-11-01T04:45:00Z', 3)).toEqual([
      '2026-11-01T05:30:00Z',
      '2026-11-01T06:30:00Z',
      '2026-11-01T07:30:00Z',
    ]);
  });

  it.each([
    ['* * * *', /five fields/],
    ['61 * * * *', /outside 0-59/],
    ['*/0 * * * *', /step/],
    ['5-1 * * * *', /backwards/],
    ['a b c d e', /outside/],
    ['cron(0 8 * * * *)', /'\?'/],
    ['cron(0 8 ? * ? *)', /'\?'/],
    ['cron(0 8 1,L * ? *)', /stand alone/],
    ['cron(0 8 ? * 3#1,6#3 *)', /once/],
    ['cron(0 8 1 * ?)', /six fields/],
    ['cron(0 8 1 * ? 1969)', /outside 1970-2199/],
    ['rate(0 minutes)', /positive/],
    ['rate(5 weeks)', /positive/],
    ['at(2026-02-30T00:00:00)', /no calendar/],
    ['at(2026-03-08T02:30:00)', /skip/],
  ])('refuses %s by name', (schedule, fault) => {
    expect(() => parseSchedule(schedule, 'America/New_York', 0)).toThrow(fault);
  });

  it('refuses a time zone that does not exist', () => {
    expect(() => parseSchedule('* * * * *', 'Mars/Olympus', 0)).toThrow(/timezone/);
  });
});

/** Field by field, minute by minute, in the words of the documentation: slow, and shares no code with the product. */
function bruteForce(
  rule: { minute: number[]; hour: number[]; month: number[]; day?: number[]; weekday?: number[] },
  zone: string,
  from: number,
  to: number,
) {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    weekday: 'short',
  });
  const found: number[] = [];
  const seen = new Set<string>();
  for (let ms = from - 3 * 3_600_000; ms < to; ms += 60_000) {
    const p = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    const local = `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}`;
    const again = seen.has(local);
    seen.add(local);
    if (ms < from) continue;
    const weekday = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(p.weekday!) + 1;
    if (!rule.minute.includes(Number(p.minute)) || !rule.hour.includes(Number(p.hour)) || !rule.month.includes(Number(p.month))) continue;
    if (rule.day && !rule.day.includes(Number(p.day))) continue;
    if (rule.weekday && !rule.weekday.includes(weekday)) continue;
    if (again && rule.hour.length < 24) continue;
    found.push(ms);
  }
  return found;
}

describe('schedules against a brute-force enumeration', () => {
  const transitions: [string, string][] = [
    ['America/New_York', '2026-03-08T07:00:00Z'],
    ['America/New_York', '2026-11-01T06:00:00Z'],
    ['Europe/Berlin', '2026-10-25T01:00:00Z'],
    ['Australia/Lord_Howe', '2026-04-04T15:00:00Z'],
    ['Australia/Lord_Howe', '2026-10-03T15:30:00Z'],
    ['America/Havana', '2026-03-08T05:00:00Z'],
    ['America/Havana', '2026-11-01T05:00:00Z'],
    ['Asia/Shanghai', '2026-11-20T00:00:00Z'],
    ['Asia/Kathmandu', '2026-12-31T12:00:00Z'],
    ['Pacific/Apia', '2011-12-30T10:00:00Z'],
    ['Africa/Cairo', '2026-10-29T21:00:00Z'],
  ];
  const some = (min: number, max: number) =>
    fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: 4 }).map((all) => all.sort((a, b) => a - b));
  const all = (min: number, max: number) => Array.from({ length: max - min + 1 }, (_, i) => min + i);

  it('finds exactly the instants that the documentation names, around every kind of clock change', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...transitions),
        fc.oneof(some(0, 59), fc.constant<number[]>([0, 30])),
        fc.oneof(some(0, 23), fc.constantFrom<number[]>([0], [1], [2], [23], [0, 23]), fc.constant(all(0, 23))),
        fc.option(fc.oneof(some(1, 31), fc.constant(undefined)), { nil: undefined }),
        fc.option(some(1, 7), { nil: undefined }),
        ([zone, change], minute, hour, day, weekday) => {
          const from = at(change) - 30 * 3_600_000;
          const to = at(change) + 30 * 3_600_000;
          const days = weekday ? undefined : day;
          const dayText = weekday ? '?' : (days?.join(',') ?? '*');
          const hourText = hour.length === 24 ? '*' : hour.join(',');
          const schedule = parseSchedule(`cron(${minute.join(',')} ${hourText} ${dayText} * ${weekday?.join(',') ?? '?'} *)`, zone, 0);
          const got: number[] = [];
          for (let next = schedule.next(from - 1); next !== undefined && next < to; next = schedule.next(next)) got.push(next);
          const expected = bruteForce({ minute, hour, month: all(1, 12), day: days, weekday }, zone, from, to);
          expect(got.map(iso)).toEqual(expected.map(iso));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('never names an instant that is not after the one asked for', () => {
    fc.assert(
      fc.property(fc.constantFrom(...transitions), fc.integer({ min: -100_000, max: 100_000 }), ([zone, change], sec) => {
        const schedule = parseSchedule('*/7 */3 * * * *', zone, 0);
        const after = at(change) + sec * 1000 + 137;
        const next = schedule.next(after)!;
        expect(next).toBeGreaterThan(after);
        expect(next % 1000).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('reads W as the nearest weekday of the same month', () => {
    const rule = eventBridgeCron('0 0 31W * ? *');
    if (typeof rule === 'string') throw new Error(rule);
    // 31 January 2027 is a Sunday: its nearest weekday in the month is Friday the 29th.
    expect([28, 29, 30, 31].filter((day) => rule.onDay({ day, weekday: (day + 4) % 7, lastDay: 31 }))).toEqual([29]);
  });
});
