import type { Clock, Random } from '../clock.js';
import { DEFAULTS } from '../defaults.js';
import { base32, type TenantId, timePrefix } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import { invalid, invalidField, notFound, Refusal } from '../refusal.js';
import type { Quotas } from '../tenancy/model.js';
import type { QueueStore, QueueView } from './port.js';

export interface MessageInput {
  id?: string;
  body: string;
  group?: string;
}

export interface PutAnswer {
  accepted: number;
  duplicates: number;
  /** In the order of the call. */
  messageIds: string[];
}

export interface QueuesParts {
  store: QueueStore;
  clock: Clock;
  random: Random;
  /** Lower-case hex of the text as UTF-8: the event names it (`md5OfBody`). */
  md5(text: string): string;
  quotasOf(tenantId: TenantId): Quotas | Promise<Quotas>;
  /** Called once messages are durable. */
  arrived(tenantId: TenantId, queue: string): void;
}

const QUEUE_NAME = /^[a-zA-Z0-9-_]{1,80}$/;
const MESSAGE_ID = /^[\x21-\x7e]{1,128}$/;
const FORGET_EVERY_MS = 60_000;
const FORGET_AT_ONCE = 500;

export function checkQueueName(field: string, name: string): void {
  if (!QUEUE_NAME.test(name)) throw invalidField(field, 'must be 1 to 80 letters, digits, - or _', '[a-zA-Z0-9-_]{1,80}');
}

/** FNS's own durable queues. */
export class Queues {
  private cancelSweep = () => {};

  constructor(private readonly parts: QueuesParts) {}

  start(): void {
    this.cancelSweep = this.parts.clock.after(FORGET_EVERY_MS, () => {
      this.sweep()
        .catch(() => {})
        .finally(() => this.start());
    });
  }

  stop(): void {
    this.cancelSweep();
    this.start = () => {};
  }

  /** Durable when it resolves. An id that is known already enters once: the sender may repeat a call whose answer it did not see. */
  async put(tenantId: TenantId, queue: string, inputs: MessageInput[]): Promise<PutAnswer> {
    checkQueueName('name', queue);
    checkMessages(inputs);
    const { store, clock, random, md5 } = this.parts;
    const now = clock.now();
    const messages = inputs.map(({ id, body, group }) => ({
      messageId: id ?? `msg_${timePrefix(now)}${base32(random.bytes(10), 16)}`,
      given: id !== undefined,
      body,
      md5: md5(body),
      group,
      sentAt: now,
    }));
    const { backlogItems, backlogBytes } = await this.parts.quotasOf(tenantId);
    const limits = { maxItems: backlogItems, maxBytes: backlogBytes, maxQueues: DEFAULTS.queuesPerTenant };
    const done = await store.put({ tenantId, queue, messages, dedupeMs: DEFAULTS.queueDedupeMs, ...limits, now });
    if (done.kind === 'backlog') {
      throw new Refusal(429, 'FNS_429_BACKLOG_LIMIT', `The tenant's queues hold as many messages as its backlog quota allows.`, {
        retryAfterSec: 5,
      });
    }
    if (done.kind === 'queues') throw new Refusal(409, 'FNS_409_LIMIT', `A tenant has at most ${DEFAULTS.queuesPerTenant} queues.`);
    this.parts.arrived(tenantId, queue);
    const duplicates = done.duplicates.length;
    return { accepted: messages.length - duplicates, duplicates, messageIds: messages.map(({ messageId }) => messageId) };
  }

  list(tenantId: TenantId, query: PageQuery): Promise<Page<QueueView>> {
    return this.parts.store.queues(tenantId, query);
  }

  /** 404 where no message was ever sent to it. */
  async get(tenantId: TenantId, name: string): Promise<QueueView> {
    const found = QUEUE_NAME.test(name) ? await this.parts.store.queue(tenantId, name) : undefined;
    if (!found) throw notFound('queue', name);
    return found;
  }

  /** In small pieces, so that no sweep holds up other writes. */
  private async sweep(): Promise<void> {
    const now = this.parts.clock.now();
    const before = { settledBefore: now - DEFAULTS.queueDedupeMs, expireBefore: now - DEFAULTS.queueRetentionMs, limit: FORGET_AT_ONCE };
    while ((await this.parts.store.forget(before)) >= FORGET_AT_ONCE);
  }
}

function checkMessages(inputs: MessageInput[]): void {
  const faults = inputs.flatMap(({ id, body, group }, i) => {
    const field = (name: string) => `messages.${i}.${name}`;
    const found = [];
    if (id !== undefined && !MESSAGE_ID.test(id))
      found.push({ field: field('id'), message: 'must be 1 to 128 printable ASCII signs without spaces' });
    if (group !== undefined && !MESSAGE_ID.test(group))
      found.push({ field: field('group'), message: 'must be 1 to 128 printable ASCII signs without spaces' });
    // UTF-8 needs at most three bytes for a UTF-16 unit, so most bodies need no counting.
    const isLong = body.length * 3 > DEFAULTS.queueMessageBytes && new TextEncoder().encode(body).length > DEFAULTS.queueMessageBytes;
    if (isLong) found.push({ field: field('body'), message: `is longer than ${DEFAULTS.queueMessageBytes} bytes` });
    return found;
  });
  if (faults.length > 0) throw invalid(faults.slice(0, 20));
}
