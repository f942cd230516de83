import type { FunctionId, TenantId, TriggerId } from '../../core/ids.js';
import { cursorKey, cursorOf, type Page, type PageQuery } from '../../core/page.js';
import type { Trigger } from '../../core/triggers/model.js';
import type { TriggerStore } from '../../core/triggers/port.js';
import type { Database } from '../store/database.js';

export class EmbeddedTriggerStore implements TriggerStore {
  constructor(private readonly database: Database) {}

  async create(trigger: Trigger, claims: string[], maxPerFunction: number) {
    const done = await this.database.write('triggers.create', { trigger, claims, maxPerFunction });
    return done.kind === 'taken' ? { ...done, by: done.by as TriggerId } : done;
  }

  async update(trigger: Trigger, claims: string[]) {
    const done = await this.database.write('triggers.update', { trigger, claims });
    return done.kind === 'taken' ? { ...done, by: done.by as TriggerId } : { kind: done.kind };
  }

  get(tenantId: TenantId, triggerId: TriggerId): Promise<Trigger | undefined> {
    return this.database.read('triggers.get', { tenantId, triggerId });
  }

  async list(tenantId: TenantId, functionId: FunctionId, query: PageQuery): Promise<Page<Trigger>> {
    const after = cursorKey(query.cursor, ['number', 'text'] as const);
    const found = await this.database.read('triggers.list', { tenantId, functionId, after, limit: query.limit + 1 });
    return page(found, query.limit, ({ createdAt, triggerId }) => [createdAt, triggerId]);
  }

  remove(tenantId: TenantId, triggerId: TriggerId): Promise<boolean> {
    return this.database.write('triggers.remove', { tenantId, triggerId });
  }

  async removeOf(tenantId: TenantId, functionId: FunctionId): Promise<TriggerId[]> {
    return (await this.database.write('triggers.removeOf', { tenantId, functionId })) as TriggerId[];
  }

  async all(query: PageQuery): Promise<Page<Trigger>> {
    const after = cursorKey(query.cursor, ['text'] as const)?.[0] ?? '';
    const found = await this.database.read('triggers.all', { after, limit: query.limit + 1 });
    return page(found, query.limit, ({ triggerId }) => [triggerId]);
  }

  handled(tenantId: TenantId, triggerId: TriggerId, through: number): Promise<void> {
    return this.database.write('triggers.handled', { tenantId, triggerId, through });
  }
}

/** @param found one more than the page may hold, if there are so many */
export function page<T>(found: T[], limit: number, key: (item: T) => (string | number)[]): Page<T> {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: found.length > limit && last ? cursorOf(...key(last)) : undefined };
}
