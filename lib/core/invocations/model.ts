import type { Priority, RetryPolicy } from '../functions/model.js';
import type { FunctionId, RequestId, TenantId, TriggerId } from '../ids.js';

export const STATES = ['ACCEPTED', 'RUNNING', 'RETRYING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'DEAD'] as const;
export type State = (typeof STATES)[number];
export const TERMINAL: ReadonlySet<State> = new Set<State>(['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'DEAD']);

export type Mode = 'sync' | 'async';
export type FaultOwner = 'tenant' | 'platform';

export interface ErrorInfo {
  type: string;
  message: string;
  stack?: string[];
}

export type Outcome = 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'LOST';

/** One attempt that came to an end. `billedMs` is 0 where nothing is billed. */
export interface Attempt {
  attempt: number;
  /** `$LATEST` or a number as text: resolved at the claim. */
  version: string;
  codeSha256: string;
  memoryMb: number;
  /** Epoch ms. */
  startedAt: number;
  /** Handler time by the invoker's clock, up to three decimals. */
  durationMs: number;
  billedMs: number;
  coldStart: boolean;
  outcome: Outcome;
  fault: FaultOwner | null;
  error?: ErrorInfo;
}

export type DeadReason =
  | 'max_retries'
  | 'max_age'
  | 'platform_fault'
  | 'poison'
  | 'function_deleted'
  | 'batch_item_failure'
  | 'undecodable';

/** Where an invocation came from, if not from a caller. */
export interface Source {
  type: 'http' | 'cron' | 'queue';
  triggerId?: TriggerId;
  queue?: string;
  messageId?: string;
}

/** Attempts since acceptance or the last replay: age and retries count per chain. */
export interface Chain {
  startedAt: number;
  tenantFaults: number;
  platformFaults: number;
  /** Owners that died while they ran it. */
  deaths: number;
}

/** The exclusive right to run and complete one attempt. */
export interface Lease {
  owner: string;
  attempt: number;
  /** Made by the claimer: it knows its own write again when only the acknowledgement was lost. */
  nonce: string;
  claimedAt: number;
  /** Deadline of the handler plus grace: void after it, whoever holds it. */
  voidAt: number;
}

/** Bytes of JSON: in the row, or in a file named by digest where they are large. */
export type Stored = { kind: 'inline'; json: string } | { kind: 'blob'; digest: string; bytes: number };

/** The whole state of one invocation. Every rule takes one and gives the next. */
export interface Head {
  requestId: RequestId;
  tenantId: TenantId;
  functionId: FunctionId;
  /** As asked: resolved to a version at each claim. */
  qualifier: string;
  mode: Mode;
  priority: Priority;
  state: State;
  acceptedAt: number;
  /** Not before this (ACCEPTED and RETRYING). */
  readyAt: number;
  /** Over a quota: kept out of queues until capacity is free. */
  parked: boolean;
  completedAt?: number;
  /** Number of the last claimed attempt, 0 before the first. */
  attempt: number;
  lease?: Lease;
  /** Nonce of the last write that was applied. */
  lastNonce: string;
  attempts: Attempt[];
  chain: Chain;
  replays: number;
  /** The replay that put it back last. */
  replayId?: string;
  deadReason?: DeadReason;
  deadAt?: number;
  source?: Source;
  /** hash(tenant, function, key), hex; absent without a key. */
  keySlot?: string;
  /** sha256 of payload bytes and qualifier: what must repeat under the same key. */
  digest?: string;
  keyExpiresAt?: number;
  payload?: Stored;
  payloadBytes: number;
  result?: Stored;
  error?: ErrorInfo;
}

export interface AcceptRequest {
  /** Time-ordered and new; not used when an earlier invocation holds the key. */
  requestId: RequestId;
  tenantId: TenantId;
  functionId: FunctionId;
  qualifier: string;
  mode: Mode;
  priority: Priority;
  /** Kept for async; a sync caller repeats its own. */
  payload?: Stored;
  payloadBytes: number;
  key?: { slot: string; digest: string; expiresAt: number };
  source?: Source;
  nonce: string;
  /** Sync runs at once: accepted and claimed in one write. */
  claim?: { owner: string; voidAt: number };
  now: number;
  /** Held back until then (delay, batch window). */
  readyAt?: number;
}

export interface ClaimRequest {
  owner: string;
  nonce: string;
  now: number;
  voidAt: number;
  maxAgeSec: number;
}

/** What identifies a claim at completion: fenced by attempt number and nonce. */
export interface ClaimRef {
  requestId: RequestId;
  attempt: number;
  nonce: string;
}

/** How an attempt ended, as the invoker measured it. */
export interface AttemptEnd {
  attempt: Omit<Attempt, 'attempt' | 'billedMs'>;
  /** JSON of the result; absent unless SUCCEEDED. */
  result?: Stored;
}

export interface CompletionPolicy {
  retry: RetryPolicy;
  /** Uniform in [0, 1), drawn by the caller. */
  jitter: number;
  now: number;
}
