import { FrameError } from './frames.js';
import type { Job } from './job.js';

/** A call given back later than this after its frame was written had started: giving it back would be running unpaid. */
const RETURN_WITHIN_MS = 50;
const RETURNS_MAX = 2;

/**
 * The calls inside one slot, in the order of their ids, and when each of them started by the invoker's clock.
 * With one call at a time the first has started and the others wait in the slot; with more, all of them have started.
 */
export class RunningCalls {
  readonly jobs: Job[] = [];
  /** Monotonic ms of the last answer. */
  lastAnswerAt = 0;
  private nextId = 1;
  /** Timed out while others ran beside them: their late answers mean nothing. */
  private readonly abandoned = new Set<number>();

  constructor(private readonly perSlot: number) {}

  get newestId(): number {
    return this.nextId - 1;
  }

  add(job: Job): void {
    job.id = this.nextId;
    job.writtenAt = 0;
    this.nextId += 1;
    this.jobs.push(job);
  }

  /** An attempt starts when its frame was written or the one before was answered, whichever is later. */
  startOf(job: Job): number {
    return this.perSlot === 1 && this.lastAnswerAt > job.writtenAt ? this.lastAnswerAt : job.writtenAt;
  }

  headElapsedMs(now: number): number {
    const head = this.jobs[0];
    return head === undefined || head.writtenAt === 0 ? 0 : Math.max(0, now - this.startOf(head));
  }

  find(id: number): Job | undefined {
    const { jobs } = this;
    for (let n = 0; n < jobs.length; n += 1) if (jobs[n]!.id === id) return jobs[n];
    return undefined;
  }

  isAbandoned(id: number): boolean {
    return this.abandoned.has(id);
  }

  /** The call that an answer ends. Undefined: one that was given up. Throws where the slot may not answer it now. */
  take(id: number): Job | undefined {
    const { jobs } = this;
    const head = jobs[0];
    if (head !== undefined && head.id === id && head.writtenAt > 0) return jobs.shift();
    const at = this.perSlot === 1 ? -1 : jobs.findIndex((job) => job.id === id && job.writtenAt > 0);
    if (at >= 0) return jobs.splice(at, 1)[0];
    if (this.abandoned.delete(id)) return undefined;
    throw new FrameError(`It answered a call that it does not run (${id}).`);
  }

  /** Calls that the slot gives back. Throws where one of them must have started: that would be running unpaid. */
  giveBack(ids: readonly number[], now: number, isBroken: boolean): Job[] {
    const back: Job[] = [];
    for (const id of ids) {
      const place = this.jobs.findIndex((job) => job.id === id && job.writtenAt > 0);
      const job = this.jobs[place];
      if (!job) throw new FrameError(`It gave back a call that it does not hold (${id}).`);
      const mayHaveStarted = place < this.perSlot;
      const isCredible = isBroken && now - this.startOf(job) <= RETURN_WITHIN_MS && job.returns < RETURNS_MAX;
      if (mayHaveStarted && !isCredible) throw new FrameError(`It gave back a call that had started (${id}).`);
      back.push(job);
    }
    for (const job of back) {
      job.returns += 1;
      this.jobs.splice(this.jobs.indexOf(job), 1);
    }
    return back;
  }

  overdue(now: number, timeoutMs: number): Job[] {
    const started = this.perSlot === 1 ? this.jobs.slice(0, 1) : this.jobs;
    return started.filter((job) => job.writtenAt > 0 && now - this.startOf(job) > timeoutMs);
  }

  abandon(job: Job): void {
    this.abandoned.add(job.id);
    this.jobs.splice(this.jobs.indexOf(job), 1);
  }

  /** The slot is gone: what had started, and what had not. */
  split(): { started: Job[]; unstarted: Job[] } {
    const jobs = this.jobs.splice(0);
    const written = jobs.filter((job) => job.writtenAt > 0);
    const started = this.perSlot === 1 ? written.slice(0, 1) : written;
    return { started, unstarted: jobs.filter((job) => !started.includes(job)) };
  }
}
