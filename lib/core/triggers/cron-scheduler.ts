import type { Clock } from '../clock.js';
import type { TriggerId } from '../ids.js';
import type { CronTrigger } from './model.js';
import { parseSchedule, type Schedule } from './schedule.js';

/** What became of one due instant. */
export type Fired =
  | { kind: 'fired' }
  /** It had been fired before (the durable accept knows its key): before a crash. */
  | { kind: 'repeated' }
  /** Nothing can run now (disabled, no code): this instant is not made up. */
  | { kind: 'skipped' }
  /** Not accepted, but may be soon: the same instant is tried again. */
  | { kind: 'later'; retryInMs: number }
  | { kind: 'gone' };

export interface CronParts {
  clock: Clock;
  /** Accepts the run of this instant durably, under a key made of trigger and instant. */
  fire(trigger: CronTrigger, dueAt: number): Promise<Fired>;
  /** Keeps how far a schedule has come. It may fail: the key of the instant then keeps it from running twice. */
  handled(trigger: CronTrigger, through: number): Promise<void>;
}

interface Entry {
  trigger: CronTrigger;
  schedule: Schedule;
  /** The instant that is due next. */
  dueAt: number | undefined;
  /** Not looked at before: `dueAt`, or later where it is tried again. */
  wakeAt: number;
  running?: Promise<void>;
  removed: boolean;
}

/** So far behind, runs were missed (a sleeping machine, a clock set forward), not just late. */
const LATE_MS = 60_000;
/** The wall clock may be set while we wait: looked at again this often. */
const LONGEST_WAIT_MS = 60_000;

/**
 * Fires schedules. One timer for the earliest instant of all triggers; the runs of one trigger go one after the other, in order.
 * Why no instant runs twice and none is lost: the next instant is computed from the last one dealt with, never from the clock;
 * it counts as dealt with only after its run was accepted durably under a key of trigger and instant. A crash between the two
 * repeats the instant, and the key answers that it ran.
 */
export class CronScheduler {
  private readonly entries = new Map<TriggerId, Entry>();
  private cancelTimer = () => {};
  private armedFor = Number.POSITIVE_INFINITY;
  private started = false;
  /** What was due before was missed while nobody ran. */
  private startedAt = 0;

  constructor(private readonly parts: CronParts) {}

  start(): void {
    this.started = true;
    this.startedAt = this.parts.clock.now();
    this.arm();
  }

  /** Takes no new run; resolves when those that are being accepted are. */
  async stop(): Promise<void> {
    this.started = false;
    this.cancelTimer();
    await Promise.all([...this.entries.values()].map((entry) => entry.running));
  }

  /** Adds a trigger, or takes over its change. */
  async set(trigger: CronTrigger): Promise<void> {
    await this.remove(trigger.triggerId);
    const schedule = parseSchedule(trigger.schedule, trigger.timezone, trigger.createdAt);
    const dueAt = schedule.next(trigger.handledThrough);
    this.entries.set(trigger.triggerId, { trigger, schedule, dueAt, wakeAt: dueAt ?? Number.POSITIVE_INFINITY, removed: false });
    this.arm();
  }

  /** When it resolves, no run of the trigger comes any more. */
  async remove(triggerId: TriggerId): Promise<void> {
    const entry = this.entries.get(triggerId);
    if (!entry) return;
    entry.removed = true;
    this.entries.delete(triggerId);
    await entry.running;
  }

  private arm(): void {
    if (!this.started) return;
    let earliest = Number.POSITIVE_INFINITY;
    for (const entry of this.entries.values()) if (!entry.running && entry.wakeAt < earliest) earliest = entry.wakeAt;
    if (earliest === this.armedFor) return;
    this.cancelTimer();
    this.armedFor = earliest;
    if (earliest === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.min(Math.max(0, earliest - this.parts.clock.now()), LONGEST_WAIT_MS);
    this.cancelTimer = this.parts.clock.after(waitMs, () => this.tick());
  }

  private tick(): void {
    this.armedFor = Number.POSITIVE_INFINITY;
    // Timers may come a little early; nothing is fired before the wall clock says so.
    const now = this.parts.clock.now();
    for (const entry of this.entries.values()) {
      if (entry.running || entry.wakeAt > now) continue;
      entry.running = this.run(entry)
        .catch(() => {
          // Only a lost store gets here: the same instant is tried again.
          entry.wakeAt = this.parts.clock.now() + 1_000;
        })
        .finally(() => {
          entry.running = undefined;
          this.arm();
        });
    }
    this.arm();
  }

  private async run(entry: Entry): Promise<void> {
    while (this.started && !entry.removed && entry.dueAt !== undefined && entry.dueAt <= this.parts.clock.now()) {
      const { dueAt } = entry;
      const missedThrough = this.missedThrough(dueAt);
      if (missedThrough !== undefined && entry.trigger.missedRuns === 'skip') {
        await this.advance(entry, missedThrough);
        continue;
      }
      const fired = await this.parts.fire(entry.trigger, dueAt);
      if (fired.kind === 'gone') {
        entry.dueAt = undefined;
        entry.wakeAt = Number.POSITIVE_INFINITY;
        return;
      }
      if (fired.kind === 'later') {
        entry.wakeAt = this.parts.clock.now() + fired.retryInMs;
        return;
      }
      // One run, under the earliest instant, makes up for all that were missed with it. `repeated`: that one had run just before
      // a crash, so it makes up for none; the next instant may.
      await this.advance(entry, fired.kind === 'repeated' ? dueAt : (missedThrough ?? dueAt));
    }
  }

  private missedThrough(dueAt: number): number | undefined {
    if (dueAt <= this.startedAt) return this.startedAt;
    const now = this.parts.clock.now();
    return now - dueAt > LATE_MS ? now : undefined;
  }

  private async advance(entry: Entry, through: number): Promise<void> {
    entry.trigger = { ...entry.trigger, handledThrough: through };
    entry.dueAt = entry.schedule.next(through);
    entry.wakeAt = entry.dueAt ?? Number.POSITIVE_INFINITY;
    await this.parts.handled(entry.trigger, through).catch(() => {});
  }
}
