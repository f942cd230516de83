import type { Clock } from '../core/clock.js';
import type { RequestId } from '../core/ids.js';
import type { LogSink } from '../core/logs/model.js';
import type { SlotSpec } from '../core/scheduling/port.js';
import type { Job } from './job.js';
import type { LaunchedSlot } from './launcher.js';
import { Printing, SlotOutput } from './output.js';
import type { RunningCalls } from './running-calls.js';

/** So many calls are known by id after they have ended: what they left behind may still print. */
const RECENT = 64;
/** Shorter calls of a slot that never used its raw descriptors are not worth the two system calls of a drain. */
const DRAIN_OVER_MS = 2;
const DRAIN_FIRST_CALLS = 4;

/** Knows which call a slot's output belongs to. */
export class CallOutput {
  private readonly output: SlotOutput;
  private readonly recent = new Array<RequestId | undefined>(RECENT);
  /** What a call left behind prints after its end; with a cap of its own until the next call ends. */
  private late: Printing | undefined;
  private ended = 0;

  constructor(
    spec: SlotSpec,
    logs: LogSink,
    clock: Clock,
    private readonly launched: LaunchedSlot,
    private readonly calls: RunningCalls,
  ) {
    this.output = new SlotOutput(spec, logs, clock);
    for (const name of ['stdout', 'stderr'] as const) {
      launched[name].on('data', (bytes: Buffer) => this.output.raw(this.printingNow(), name, bytes));
      launched[name].on('error', () => undefined);
    }
  }

  /** V8 says on stderr why it gave up. */
  get saysOutOfMemory(): boolean {
    return /heap out of memory|MemoryError|Cannot allocate memory/.test(this.output.tail);
  }

  tagged(id: number, stream: number, bytes: Buffer, from: number, to: number): void {
    this.output.tagged(this.printingOf(id), stream === 2 ? 'stderr' : 'stdout', bytes, from, to);
  }

  dropped(id: number, bytes: number): void {
    const printing = this.printingOf(id);
    if (printing && Number.isFinite(bytes) && bytes > 0) printing.droppedBytes += Math.floor(bytes);
  }

  loaded(): void {
    this.drain(() => undefined);
    this.output.endOutside();
  }

  /** Called when the call's answer was read, before it is passed on. */
  end(job: Job, durationMs: number): void {
    this.ended += 1;
    if (this.output.isRaw || durationMs > DRAIN_OVER_MS || this.ended <= DRAIN_FIRST_CALLS) this.drain(() => printingOfJob(job));
    this.recent[job.id % RECENT] = job.requestId;
    if (job.printing) this.output.end(job.printing);
    this.endLate();
  }

  endLate(): void {
    if (this.late) this.output.end(this.late);
    this.late = undefined;
    this.output.endOutside();
  }

  /** The process has ended: what it wrote last is read, and nothing is left open where a descendant holds the other end. */
  close(): void {
    this.drain(() => this.printingNow());
    this.endLate();
    this.launched.stdout.destroy();
    this.launched.stderr.destroy();
  }

  private drain(printing: () => Printing | undefined): void {
    this.output.drain(printing, 'stdout', this.launched.stdout);
    this.output.drain(printing, 'stderr', this.launched.stderr);
  }

  private printingOf(id: number): Printing | undefined {
    if (id === 0) return undefined;
    const job = this.calls.find(id);
    if (job) return printingOfJob(job);
    const { newestId } = this.calls;
    const requestId = id <= newestId && id + RECENT > newestId ? this.recent[id % RECENT] : undefined;
    if (requestId === undefined) return undefined;
    if (this.late?.requestId !== requestId) {
      this.endLate();
      this.late = new Printing(requestId);
    }
    return this.late;
  }

  /** Whom raw output belongs to: the call that runs, else the one that ran last. */
  private printingNow(): Printing | undefined {
    const [head] = this.calls.jobs;
    return head ? printingOfJob(head) : this.printingOf(this.calls.newestId);
  }
}

function printingOfJob(job: Job): Printing {
  job.printing ??= new Printing(job.requestId);
  return job.printing;
}
