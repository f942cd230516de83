import type { Priority } from '../functions/model.js';
import type { FunctionId, RequestId, TenantId } from '../ids.js';
import type { LedgerEntry } from '../metering/model.js';
import type { Page, PageQuery } from '../page.js';
import type { AcceptRequest, AttemptEnd, ClaimRef, ClaimRequest, CompletionPolicy, DeadReason, Head, State } from './model.js';
import type { AcceptDecision, ClaimDecision, CompleteDecision } from './rules.js';

/** A keyless sync call that has run: stored in one write, before its answer is sent. */
export interface FinishedCall {
  head: Head;
  usage?: LedgerEntry;
}

/** One runnable request as the dispatcher sees it: no payload. */
export interface ReadyEntry {
  requestId: RequestId;
  tenantId: TenantId;
  functionId: FunctionId;
  priority: Priority;
  qualifier: string;
  /** Epoch ms. */
  readyAt: number;
  payloadBytes: number;
  /** Owners died while they ran it: nothing may run beside it. */
  alone: boolean;
}

/** How much waits, per tenant and function: what the dispatcher starts from. */
export interface ReadyCount {
  tenantId: TenantId;
  functionId: FunctionId;
  priority: Priority;
  count: number;
  bytes: number;
  /** Earliest readyAt, epoch ms. */
  nextAt: number;
}

export interface InvocationFilter extends PageQuery {
  tenantId: TenantId;
  functionId: FunctionId;
  states?: State[];
  /** Time of acceptance, epoch ms. */
  fromMs?: number;
  toMs?: number;
}

export interface DeadLetterFilter extends PageQuery {
  tenantId: TenantId;
  functionId: FunctionId;
  requestIds?: string[];
  /** Time of death, epoch ms. */
  fromMs?: number;
  toMs?: number;
  errorType?: string;
  reason?: DeadReason;
}

/** A bulk replay: what was asked, and whether every match has been put back. */
export interface ReplayJob {
  replayId: string;
  filter: Omit<DeadLetterFilter, 'limit' | 'cursor'>;
  ratePerSec?: number;
  matched: number;
  startedAt: number;
  scanned: boolean;
}

/**
 * Durable steps of an invocation's life, each atomic and durable when its promise resolves (rejects with
 * PlatformFault where the store is lost: the outcome is then unknown, and the nonce tells on the next try).
 * The rules stand in rules.ts; test/contract/invocations.spec.ts holds every adapter to them.
 */
export interface InvocationStore {
  accept(request: AcceptRequest): Promise<AcceptDecision>;
  claim(requestId: RequestId, request: ClaimRequest): Promise<ClaimDecision>;
  /** Outcome and usage in one write. */
  complete(ref: ClaimRef, end: AttemptEnd, policy: CompletionPolicy): Promise<CompleteDecision>;
  /** Nothing started: ready again at once. False: the claim was not mine any more. */
  release(ref: ClaimRef, now: number): Promise<boolean>;
  /** Nothing started: ready again at `until`. */
  defer(ref: ClaimRef, until: number): Promise<boolean>;
  /** Over quota: out of the queues until capacity is free. */
  park(ref: ClaimRef, now: number): Promise<boolean>;
  /** A refused sync call (no slot): the record and its key are gone as if it had never been. */
  withdraw(ref: ClaimRef): Promise<boolean>;
  bury(requestId: RequestId, reason: DeadReason, now: number, nonce: string): Promise<Head | undefined>;
  /** Undefined: not dead, or not there. */
  replay(tenantId: TenantId, requestId: RequestId, replayId: string, now: number, nonce: string): Promise<Head | undefined>;
  /** Keeps what a replay was asked to do, so that it goes on after a crash. Overwrites by replayId. */
  saveReplay(job: ReplayJob): Promise<void>;
  replayJob(tenantId: TenantId, replayId: string): Promise<ReplayJob | undefined>;
  unfinishedReplays(): Promise<ReplayJob[]>;
  /** How the invocations that this replay put back stand now. */
  replayTally(replayId: string): Promise<{ replayed: number; healed: number; failed: number }>;
  /** Stores a head that is at its end already (a message that stayed bad, as a dead letter). False: this id is there, nothing was stored. */
  deposit(head: Head): Promise<boolean>;
  /** One write for a keyless sync call. */
  record(call: FinishedCall): Promise<void>;

  heartbeat(owner: string, now: number): Promise<void>;
  /**
   * Frees up to `limit` requests whose lease is void, each by `takeover`; the freed heads. `gone`: owners known to be dead;
   * `running`: what the asking owner has in the air, whatever the wall clock says of it.
   */
  takeOver(request: {
    gone: string[] | 'all-but';
    owner: string;
    running: RequestId[];
    now: number;
    nonce: string;
    limit: number;
  }): Promise<Head[]>;

  get(tenantId: TenantId, requestId: RequestId): Promise<Head | undefined>;
  /** Newest first. */
  list(filter: InvocationFilter): Promise<Page<Head>>;
  deadLetters(filter: DeadLetterFilter): Promise<Page<Head>>;
  countDeadLetters(filter: Omit<DeadLetterFilter, 'limit' | 'cursor'>): Promise<number>;
  /** The oldest ready ones of one function and priority with readyAt <= until, after the given ids. */
  ready(query: { tenantId: TenantId; functionId: FunctionId; priority: Priority; until: number; limit: number }): Promise<ReadyEntry[]>;
  readyCounts(): Promise<ReadyCount[]>;
  /** Reads what a Stored names. */
  bytes(stored: NonNullable<Head['payload']>): Promise<string>;
  /** Places JSON: inline, or a fsynced file when large. */
  place(json: string): Promise<NonNullable<Head['payload']>>;
}
