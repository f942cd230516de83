import type { FunctionRecord, Priority } from '../functions/model.js';
import type { RequestId, TenantId } from '../ids.js';
import type { Page } from '../page.js';
import type { Refusal } from '../refusal.js';
import type { StreamChunk } from '../scheduling/port.js';
import type { Head, Source } from './model.js';
import type { DeadLetterFilter, InvocationFilter } from './port.js';

/** One request to run a function, whoever asks: the API, a route, a schedule, a queue. */
export interface InvokeCall {
  fn: FunctionRecord;
  /** `$LATEST` (default) or a version number as text. */
  qualifier?: string;
  /** Valid JSON, within the limit of the mode. */
  payload: string;
  priority?: Priority;
  /** As the caller sent it, or the source's own id. */
  idempotencyKey?: string;
  /** What must repeat under the key instead of the payload's bytes (a route's event holds the time of day). */
  repeats?: string;
  /** How long a sync caller waits for the answer; default DEFAULTS.syncWaitMs, Infinity for the platform's own consumers. */
  waitMs?: number;
  source?: Source;
  triggerId?: string;
  onChunk?: (chunk: StreamChunk) => void | Promise<void>;
}

export type SyncAnswer =
  /** Terminal: SUCCEEDED, FAILED, TIMED_OUT (or DEAD, where the key belongs to an async call). `result` is the JSON text. */
  | { kind: 'done'; head: Head; result: string | undefined; replayed: boolean }
  /** Longer than the caller may wait: it goes on. */
  | { kind: 'running'; requestId: RequestId }
  | { kind: 'refused'; refusal: Refusal };

export type AsyncAnswer = { kind: 'accepted'; requestId: RequestId; replayed: boolean } | { kind: 'refused'; refusal: Refusal };

/** Progress of a replay. `failed` counts those that died again. */
export interface ReplayProgress {
  replayId: string;
  matched: number;
  replayed: number;
  healed: number;
  failed: number;
  done: boolean;
}

/** The invocation path, as routes and triggers use it. */
export interface Invocations {
  invokeSync(call: InvokeCall): Promise<SyncAnswer>;
  /** Durable when it resolves with `accepted`. */
  invokeAsync(call: InvokeCall): Promise<AsyncAnswer>;
  get(tenantId: TenantId, requestId: string): Promise<Head | undefined>;
  result(head: Head): Promise<string | undefined>;
  list(filter: InvocationFilter): Promise<Page<Head>>;
  deadLetters(filter: DeadLetterFilter): Promise<Page<Head>>;
  /** Resolves with the count matched; goes on by itself at `ratePerSec`. */
  replay(filter: Omit<DeadLetterFilter, 'limit' | 'cursor'>, ratePerSec: number | undefined, actor: string): Promise<ReplayProgress>;
  /** Undefined: no such invocation. A Refusal (409) where it is not dead. */
  replayOne(tenantId: TenantId, requestId: string, actor: string): Promise<ReplayProgress | Refusal | undefined>;
  replayProgress(tenantId: TenantId, replayId: string): Promise<ReplayProgress | undefined>;
  /** Called when an invocation has come to its end (in this process). */
  onEnd(listener: (head: Head) => void): void;
}
