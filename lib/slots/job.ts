import type { ErrorInfo } from '../core/invocations/model.js';
import type { SlotCall, SlotEnd } from '../core/scheduling/port.js';
import type { CallFields } from './frames.js';
import type { Printing } from './output.js';

/** One call on its way through pool and slot. Laid out as the CALL frame wants it, so that sending it copies nothing. */
export class Job implements CallFields {
  /** Within the slot that runs it, from 1; 0 while it is in none. */
  id = 0;
  readonly attempt: number;
  readonly streamed: boolean;
  readonly requestId: SlotCall['requestId'];
  readonly triggerId: string;
  readonly payload: string;
  /** Monotonic ms at which its frame was written; 0 before. */
  writtenAt = 0;
  /** The code was loaded for this call. */
  coldStart = false;
  /** Slots that gave it back, or died, before it had started. */
  returns = 0;
  printing: Printing | undefined;
  private settled = false;

  constructor(
    readonly call: SlotCall,
    /** Monotonic ms. */
    readonly submittedAt: number,
    private readonly resolve: (end: SlotEnd) => void,
    /** Counts calls without an end. */
    private readonly tally: { open: number },
  ) {
    tally.open += 1;
    this.attempt = call.attempt;
    this.streamed = call.onChunk !== undefined;
    this.requestId = call.requestId;
    this.triggerId = call.triggerId ?? '';
    this.payload = call.payload;
  }

  settle(end: SlotEnd): void {
    if (this.settled) return;
    this.settled = true;
    this.tally.open -= 1;
    this.resolve(end);
  }
}

const MICROSECONDS = 1000;

/** Up to three decimals; a handler that ran has run for at least a microsecond, whatever the clock's grain. */
export const roundedMs = (ms: number): number => Math.max(1, Math.round(ms * MICROSECONDS)) / MICROSECONDS;

/** Errors that the invoker itself finds. The names are Lambda's where Lambda has one. */
export const SlotErrors = {
  timedOut: (timeoutSec: number): ErrorInfo => ({
    type: 'Runtime.Timeout',
    message: `Task timed out after ${timeoutSec.toFixed(2)} seconds`,
  }),
  outOfMemory: (memoryMb: number): ErrorInfo => ({
    type: 'Runtime.OutOfMemory',
    message: `The function used more than its ${memoryMb} MB of memory and was ended.`,
  }),
  exited: (code: number | null, signal: string | null): ErrorInfo => ({
    type: 'Runtime.ExitError',
    message: `The process of the function ended with ${signal ? `signal ${signal}` : `exit code ${code ?? 'unknown'}`} before it had answered.`,
  }),
  forged: (what: string): ErrorInfo => ({ type: 'Runtime.ProtocolError', message: `The process of the function was ended: ${what}` }),
  notJson: (): ErrorInfo => ({ type: 'Runtime.MarshalError', message: 'The result of the function is not valid JSON.' }),
  initTimeout: (ms: number): ErrorInfo => ({ type: 'Runtime.InitTimeout', message: `The code was not loaded within ${ms / 1000} s.` }),
  lost: (why: string): ErrorInfo => ({ type: 'Platform.SlotLost', message: why }),
  notStarted: (cause: unknown): ErrorInfo => ({
    type: 'Platform.SlotNotStarted',
    message: `No process could be started for the function: ${cause instanceof Error ? cause.message : String(cause)}`,
  }),
} as const;
