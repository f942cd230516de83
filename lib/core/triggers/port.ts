import type { FunctionId, TenantId, TriggerId } from '../ids.js';
import type { Attempt } from '../invocations/model.js';
import type { Page, PageQuery } from '../page.js';
import type { Trigger } from './model.js';

/**
 * Whole steps over triggers. `claims` are what no two triggers of a tenant may share (a route's path and method, a queue):
 * taken and given up in the same write as the trigger.
 */
export interface TriggerStore {
  create(
    trigger: Trigger,
    claims: string[],
    maxPerFunction: number,
  ): Promise<{ kind: 'created' } | { kind: 'taken'; claim: string; by: TriggerId } | { kind: 'full' }>;
  /** Stores `trigger` only if the stored revision is still `trigger.revision - 1`; `handledThrough` only rises. */
  update(
    trigger: Trigger,
    claims: string[],
  ): Promise<{ kind: 'updated' } | { kind: 'taken'; claim: string; by: TriggerId } | { kind: 'changed' } | { kind: 'missing' }>;
  get(tenantId: TenantId, triggerId: TriggerId): Promise<Trigger | undefined>;
  /** Oldest first. */
  list(tenantId: TenantId, functionId: FunctionId, query: PageQuery): Promise<Page<Trigger>>;
  remove(tenantId: TenantId, triggerId: TriggerId): Promise<boolean>;
  /** All of a function; the ids of those that went. */
  removeOf(tenantId: TenantId, functionId: FunctionId): Promise<TriggerId[]>;
  /** All of all tenants, for the start. */
  all(query: PageQuery): Promise<Page<Trigger>>;
  /** Instants of a schedule up to `through` are dealt with. Never goes back. */
  handled(tenantId: TenantId, triggerId: TriggerId, through: number): Promise<void>;
}

/** A message as it enters. */
export interface NewMessage {
  messageId: string;
  /** The sender chose the id: it is remembered for 24 h, so that the same message does not enter twice. */
  given: boolean;
  body: string;
  md5: string;
  /** Messages of a group are handed out in order, the next one only when the one before is settled. */
  group?: string;
  /** Epoch ms, by the clock of the queue that it was sent to. */
  sentAt: number;
  /** What another queue said of it: SQS's attributes and message attributes, as they stand in the event. */
  attributes?: Record<string, string>;
  messageAttributes?: Record<string, unknown>;
}

/** A message on its way: a delivery record. */
export interface QueueMessage extends NewMessage {
  /** The deliveries that failed, oldest first, as attempts of the dead letter that it may become. */
  failures: Attempt[];
  /** Epoch ms: when it was put into its first batch. */
  firstReceivedAt: number;
}

/** Messages that are handed to the handler together: one invocation, under the key `batchId`, however often it is asked for. */
export interface Batch {
  batchId: string;
  tenantId: TenantId;
  queue: string;
  triggerId: TriggerId;
  /** As it stood when the batch was made: part of what must repeat under the key. */
  qualifier: string;
  createdAt: number;
  /** Runs that our own faults ended. */
  platformFaults: number;
  messages: QueueMessage[];
}

export type MessageEnd =
  /** Handled, or buried as a dead letter that is stored already. */
  { messageId: string; kind: 'gone' } | { messageId: string; kind: 'again'; notBefore: number; failure: Attempt };

export interface TakeRequest {
  tenantId: TenantId;
  queue: string;
  triggerId: TriggerId;
  qualifier: string;
  batchId: string;
  batchSize: number;
  batchWindowMs: number;
  /** Upper bound of the bodies together. */
  maxBytes: number;
  now: number;
}

export type Taken =
  | { kind: 'batch'; batch: Batch }
  /** Nothing is due; `until`: when something may be. */
  | { kind: 'nothing'; until?: number };

export interface QueueView {
  name: string;
  createdAt: number;
  /** Messages that are not settled, those in flight included. */
  depth: number;
  bytes: number;
  inFlight: number;
  /** Epoch ms at which the oldest of them was sent. */
  oldestSentAt?: number;
}

/** Whole steps over queues and their messages, each durable when its promise resolves. */
export interface QueueStore {
  /** Makes the queue on first use. Ids that are known (in the queue, or settled less than `dedupeMs` ago) enter once. */
  put(request: {
    tenantId: TenantId;
    queue: string;
    messages: NewMessage[];
    dedupeMs: number;
    maxItems: number;
    maxBytes: number;
    maxQueues: number;
    now: number;
  }): Promise<{ kind: 'accepted'; duplicates: string[] } | { kind: 'backlog' } | { kind: 'queues' }>;
  /** The messages that are due become a batch, in one write; an id that is known gives that batch again. */
  take(request: TakeRequest): Promise<Taken>;
  /** Batches that are not settled. */
  open(tenantId: TenantId, queue: string): Promise<Batch[]>;
  /** Nothing of it has run: its messages wait again, uncounted, until `notBefore`. */
  release(batchId: string, notBefore: number): Promise<boolean>;
  /** Counts a run that our own fault ended; how many there are now. */
  faulted(batchId: string): Promise<number>;
  /** Ends the batch: what is gone is gone, the rest waits again. False: it was settled already. */
  settle(batchId: string, ends: MessageEnd[], now: number): Promise<boolean>;
  queues(tenantId: TenantId, query: PageQuery): Promise<Page<QueueView>>;
  queue(tenantId: TenantId, name: string): Promise<QueueView | undefined>;
  /** Removes ids that are old enough to be forgotten, and messages that nobody took before `expireBefore`. How many went. */
  forget(request: { settledBefore: number; expireBefore: number; limit: number }): Promise<number>;
}
