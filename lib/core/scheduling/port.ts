import type { FunctionConfig } from '../functions/model.js';
import type { FunctionId, RequestId, TenantId } from '../ids.js';
import type { ErrorInfo } from '../invocations/model.js';

/** What a slot is started from. Two specs with the same `key` may share slots. */
export interface SlotSpec extends FunctionConfig {
  /** functionId, version, revision and code digest: changes when anything that a slot was started from changes. */
  key: string;
  tenantId: TenantId;
  namespace: string;
  functionId: FunctionId;
  functionName: string;
  /** `$LATEST` or a number as text. */
  version: string;
  codeSha256: string;
  /** Slots kept warm without calls. */
  minSlots: number;
  /** Slots at most; absent: as memory allows. */
  maxSlots?: number;
}

/** One attempt to run. */
export interface SlotCall {
  requestId: RequestId;
  attempt: number;
  /** Valid JSON, forwarded unchanged. */
  payload: string;
  triggerId?: string;
  /** Give up waiting for a slot after this long; nothing has started then. */
  slotWaitMs: number;
  /** Set by a streaming HTTP trigger: called in order, before the end. The answer's result is then `null`. */
  onChunk?: (chunk: StreamChunk) => void | Promise<void>;
}

/** `head` is the JSON of `{statusCode, headers, cookies}` where the handler gave one. */
export type StreamChunk = { kind: 'head'; json: string } | { kind: 'data'; bytes: Uint8Array };

/** Measured by the invoker: what tenant code says of itself is never billed. */
interface Ran {
  /** Epoch ms at which the handler was given its event. */
  startedAt: number;
  /** Handler time, up to three decimals. */
  durationMs: number;
  /** Code had to be loaded for this call. */
  coldStart: boolean;
}

export type SlotEnd =
  | ({ kind: 'succeeded' /** Valid JSON within the limit. */; result: string } & Ran)
  | ({ kind: 'failed'; error: ErrorInfo } & Ran)
  | ({ kind: 'timedOut'; error: ErrorInfo } & Ran)
  /** Ours: the slot was lost by no fault of the tenant's. */
  | ({ kind: 'lost'; error: ErrorInfo } & Ran)
  /** The tenant's code could not be loaded (throws at load, no such handler, init took too long): billed 0 ms of handler time as 1 ms. */
  | ({ kind: 'initFailed'; error: ErrorInfo } & Ran)
  /** No slot within slotWaitMs, or draining: nothing has started. */
  | { kind: 'busy' }
  /** Ours: a slot could not be started at all; nothing has started. */
  | { kind: 'notStarted'; error: ErrorInfo };

export interface SlotCounts {
  starting: number;
  idle: number;
  busy: number;
}

/** The process or task that owns slots. */
export interface Invoker {
  /** Runs one attempt; never rejects. */
  run(spec: SlotSpec, call: SlotCall): Promise<SlotEnd>;
  /** Starts slots up to `spec.minSlots` and keeps them. */
  keepWarm(spec: SlotSpec): void;
  /** Running calls of the function finish, then its slots end; `except` names the spec key that stays. */
  retire(functionId: FunctionId, except?: string): void;
  /** Of one function, of one tenant, or of all. */
  counts(functionId?: FunctionId, tenantId?: TenantId): SlotCounts;
  /** No new call is taken; resolves when the running ones have ended or `withinMs` has passed. */
  drain(withinMs: number): Promise<void>;
}
