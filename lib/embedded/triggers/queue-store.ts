import type { TenantId } from '../../core/ids.js';
import { cursorKey, type Page, type PageQuery } from '../../core/page.js';
import type { Batch, MessageEnd, QueueStore, QueueView, Taken, TakeRequest } from '../../core/triggers/port.js';
import type { Database } from '../store/database.js';
import { page } from './trigger-store.js';

/** Messages a step: the writer thread must not be held up by one large call. Their calls share a commit all the same. */
const MESSAGES_PER_STEP = 250;

export class EmbeddedQueueStore implements QueueStore {
  constructor(private readonly database: Database) {}

  async put(request: Parameters<QueueStore['put']>[0]): ReturnType<QueueStore['put']> {
    const { messages } = request;
    this.database.requireRoom();
    // The first step asks for room for all; once it has entered, the rest enters too.
    const first = await this.step(request, 0);
    if (first.kind !== 'accepted') return first;
    const rest: ReturnType<typeof this.step>[] = [];
    for (let start = MESSAGES_PER_STEP; start < messages.length; start += MESSAGES_PER_STEP) rest.push(this.step(request, start));
    const done = await Promise.all(rest);
    return { kind: 'accepted', duplicates: [first, ...done].flatMap((each) => (each.kind === 'accepted' ? each.duplicates : [])) };
  }

  private step(request: Parameters<QueueStore['put']>[0], start: number) {
    const messages = request.messages.slice(start, start + MESSAGES_PER_STEP);
    const chars = start > 0 ? 0 : request.messages.reduce((sum, { body }) => sum + body.length, 0);
    const coming = start > 0 ? undefined : { items: request.messages.length, chars };
    return this.database.write('queues.put', { ...request, messages, coming });
  }

  take(request: TakeRequest): Promise<Taken> {
    return this.database.write('queues.take', request);
  }

  open(tenantId: TenantId, queue: string): Promise<Batch[]> {
    return this.database.read('queues.open', { tenantId, queue });
  }

  release(batchId: string, notBefore: number): Promise<boolean> {
    return this.database.write('queues.release', { batchId, notBefore });
  }

  faulted(batchId: string): Promise<number> {
    return this.database.write('queues.faulted', { batchId });
  }

  settle(batchId: string, ends: MessageEnd[], now: number): Promise<boolean> {
    return this.database.write('queues.settle', { batchId, ends, now });
  }

  async queues(tenantId: TenantId, query: PageQuery): Promise<Page<QueueView>> {
    const after = cursorKey(query.cursor, ['text'] as const)?.[0] ?? '';
    const found = await this.database.read('queues.list', { tenantId, after, limit: query.limit + 1 });
    return page(found, query.limit, ({ name }) => [name]);
  }

  queue(tenantId: TenantId, name: string): Promise<QueueView | undefined> {
    return this.database.read('queues.get', { tenantId, name });
  }

  forget(request: { settledBefore: number; expireBefore: number; limit: number }): Promise<number> {
    return this.database.write('queues.forget', request);
  }
}
