import type { Priority, RetryPolicy } from '../functions/model.js';
import { asRequestId, type FunctionId, timePrefix } from '../ids.js';
import type { Attempt, DeadReason, ErrorInfo, Head, Source, Stored } from '../invocations/model.js';
import { afterTenantFault } from '../invocations/retry.js';
import type { Batch, MessageEnd, QueueMessage } from './port.js';

/** Where messages come from, as the event names it. */
export interface QueueOrigin {
  arn: string;
  region: string;
}

/** An SQS event (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html). The same batch gives the same bytes, for they stand under a key. */
export function batchEvent(batch: Batch, origin: QueueOrigin): string {
  return JSON.stringify({ Records: batch.messages.map((message) => sqsRecord(message, batch, origin)) });
}

function sqsRecord(message: QueueMessage, batch: Batch, origin: QueueOrigin): Record<string, unknown> {
  return {
    messageId: message.messageId,
    receiptHandle: `${batch.batchId}.${message.messageId}`,
    body: message.body,
    attributes: {
      SenderId: batch.tenantId,
      ...(message.group === undefined ? {} : { MessageGroupId: message.group }),
      ...message.attributes,
      ApproximateReceiveCount: String(message.failures.length + 1),
      SentTimestamp: String(message.sentAt),
      ApproximateFirstReceiveTimestamp: String(message.firstReceivedAt),
    },
    messageAttributes: message.messageAttributes ?? {},
    md5OfBody: message.md5,
    eventSource: 'aws:sqs',
    eventSourceARN: origin.arn,
    awsRegion: origin.region,
  };
}

/**
 * The ids that a handler's answer reports as failed, read as Lambda reads it: no list, an empty one or null is success; an
 * identifier that is missing, empty or not of this batch fails the whole batch, for then nobody knows what was meant.
 */
export function failedItems(result: string | undefined, ids: readonly string[]): ReadonlySet<string> | 'all' {
  const reported = reportedFailures(result);
  if (reported === undefined || reported === null) return new Set();
  if (!Array.isArray(reported)) return 'all';
  const known = new Set(ids);
  const failed = new Set<string>();
  for (const item of reported) {
    const id = (item as { itemIdentifier?: unknown } | null)?.itemIdentifier;
    if (typeof id !== 'string' || !known.has(id)) return 'all';
    failed.add(id);
  }
  return failed;
}

function reportedFailures(result: string | undefined): unknown {
  // Most answers report nothing and need not be parsed.
  if (!result?.includes('batchItemFailures')) return undefined;
  const value: unknown = JSON.parse(result);
  return value !== null && typeof value === 'object' ? (value as { batchItemFailures?: unknown }).batchItemFailures : undefined;
}

const itemFailure = (id: string): ErrorInfo => ({
  type: 'Queue.BatchItemFailure',
  message: `The handler reported message '${id}' in batchItemFailures.`,
});

/**
 * A replayed dead letter runs alone, as an invocation like any other. That its handler answers at all does not mean that the
 * message was handled: the engine asks here after an attempt that succeeded. Undefined: it was.
 */
export function replayedMessageFault(source: Source | undefined, result: string | undefined): ErrorInfo | undefined {
  if (source?.type !== 'queue' || source.messageId === undefined) return undefined;
  const failed = failedItems(result, [source.messageId]);
  return failed === 'all' || failed.size > 0 ? itemFailure(source.messageId) : undefined;
}

export interface DeadMessage {
  message: QueueMessage;
  reason: DeadReason;
}

/** What follows a batch that has run: the ends of its messages, and those of them that become dead letters. */
export interface Settlement {
  ends: MessageEnd[];
  dead: DeadMessage[];
}

/**
 * The function's retry policy, message by message: each counts its own deliveries, from its own first one.
 * @param head the batch's invocation at its end; its fault is the tenant's, or it has none
 */
export function settlement(
  batch: Batch,
  head: Head,
  result: string | undefined,
  policy: RetryPolicy,
  now: number,
  jitter: () => number,
): Settlement {
  const last = head.attempts.at(-1);
  const failed =
    head.state === 'SUCCEEDED'
      ? failedItems(
          result,
          batch.messages.map((m) => m.messageId),
        )
      : 'all';
  const settled: Settlement = { ends: [], dead: [] };
  for (const message of batch.messages) {
    const { messageId } = message;
    if (failed !== 'all' && !failed.has(messageId)) {
      settled.ends.push({ messageId, kind: 'gone' });
      continue;
    }
    const failure = deliveryFailure(message, last, (head.state === 'SUCCEEDED' ? undefined : head.error) ?? itemFailure(messageId), now);
    const done = { chainStartedAt: message.firstReceivedAt, tenantFaults: message.failures.length, platformFaults: 0 };
    const next = afterTenantFault(policy, done, now, jitter());
    if (next.kind === 'retry') {
      settled.ends.push({ messageId, kind: 'again', notBefore: next.notBefore, failure });
    } else {
      settled.ends.push({ messageId, kind: 'gone' });
      settled.dead.push({ message: { ...message, failures: [...message.failures, failure] }, reason: next.reason });
    }
  }
  return settled;
}

/** Our own faults have used up their budget: all of its messages become dead letters, to be replayed once we are well. */
export function givenUp(batch: Batch, error: ErrorInfo, now: number): Settlement {
  return {
    ends: batch.messages.map(({ messageId }) => ({ messageId, kind: 'gone' })),
    dead: batch.messages.map((message) => ({
      message: { ...message, failures: [...message.failures, { ...deliveryFailure(message, undefined, error, now), fault: 'platform' }] },
      reason: 'platform_fault',
    })),
  };
}

const MAX_ERROR_CHARS = 1024;
const MAX_STACK_LINES = 10;

/** A delivery as an attempt of its message: it was billed with its batch, so it is billed nothing here. */
function deliveryFailure(message: QueueMessage, ran: Attempt | undefined, error: ErrorInfo, now: number): Attempt {
  return {
    attempt: message.failures.length + 1,
    version: ran?.version ?? '',
    codeSha256: ran?.codeSha256 ?? '',
    memoryMb: ran?.memoryMb ?? 0,
    startedAt: ran?.startedAt ?? now,
    durationMs: ran?.durationMs ?? 0,
    billedMs: 0,
    coldStart: ran?.coldStart ?? false,
    outcome: ran?.outcome === 'TIMED_OUT' ? 'TIMED_OUT' : 'FAILED',
    fault: 'tenant',
    // Kept once for each message and delivery: short.
    error: {
      type: error.type,
      message: error.message.slice(0, MAX_ERROR_CHARS),
      ...(error.stack ? { stack: error.stack.slice(0, MAX_STACK_LINES) } : {}),
    },
  };
}

/** The same message makes the same id, so that burying it twice stores it once. */
export const deadMessageId = (batch: Batch, message: QueueMessage, digest: (...texts: string[]) => string) =>
  asRequestId(`req_${timePrefix(message.sentAt)}${digest('queue-message', batch.tenantId, batch.queue, message.messageId).slice(0, 16)}`);

/** The payload of a dead message: an event with it alone. */
export const oneRecordEvent = (batch: Batch, message: QueueMessage, origin: QueueOrigin): string =>
  batchEvent({ ...batch, messages: [message] }, origin);

/** A message that stayed bad, as an asynchronous invocation at its end: dead letters list it, and replay works by its request id. */
export function deadInvocation(
  batch: Batch,
  { message, reason }: DeadMessage,
  as: {
    requestId: ReturnType<typeof asRequestId>;
    functionId: FunctionId;
    priority: Priority;
    payload: Stored;
    payloadBytes: number;
    now: number;
  },
): Head {
  const { now } = as;
  return {
    requestId: as.requestId,
    tenantId: batch.tenantId,
    functionId: as.functionId,
    qualifier: batch.qualifier,
    mode: 'async',
    priority: as.priority,
    state: 'DEAD',
    acceptedAt: message.sentAt,
    readyAt: now,
    parked: false,
    completedAt: now,
    attempt: message.failures.length,
    lastNonce: `${batch.batchId}.dead`,
    attempts: message.failures,
    chain: { startedAt: message.firstReceivedAt, tenantFaults: message.failures.length, platformFaults: 0, deaths: 0 },
    replays: 0,
    deadReason: reason,
    deadAt: now,
    source: { type: 'queue', triggerId: batch.triggerId, queue: batch.queue, messageId: message.messageId },
    payload: as.payload,
    payloadBytes: as.payloadBytes,
    error: message.failures.at(-1)?.error,
  };
}
