import type { Clock } from '../core/clock.js';
import type { LogSink } from '../core/logs/model.js';
import type { SlotSpec } from '../core/scheduling/port.js';
import type { Job } from './job.js';

export type Outcome = 'succeeded' | 'failed' | 'timedOut' | 'lost';

/** What every slot of an invoker is made with. */
export interface SlotParts {
  clock: Clock;
  logs: LogSink;
  /** Whether `text` is JSON; a promise where it is checked off the main thread. */
  validateJson(text: string): boolean | Promise<boolean>;
  /** Told of a fault of our own; nobody else sees it. */
  onFault(error: unknown): void;
  /** An attempt ran and came to its end: it is metered. */
  ran(spec: SlotSpec, job: Job, outcome: Outcome, durationMs: number, endedAt: number): void;
}
