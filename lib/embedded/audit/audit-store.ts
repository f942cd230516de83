import type { AuditFilter, AuditLog, AuditRecord, AuditTrail } from '../../core/audit/model.js';
import { cursorKey, cursorOf, type Page } from '../../core/page.js';
import type { Database } from '../store/database.js';

export class EmbeddedAudit implements AuditLog, AuditTrail {
  constructor(private readonly database: Database) {}

  async append(record: AuditRecord): Promise<void> {
    await this.database.write('audit.append', record);
  }

  async list(filter: AuditFilter): Promise<Page<AuditRecord>> {
    const { tenantId, fromMs, toMs, limit } = filter;
    const before = cursorKey(filter.cursor, ['number', 'number'] as const);
    const action = filter.action?.replaceAll(/[[?]|\*(?!$)/g, (sign) => `[${sign}]`);
    const found = await this.database.read('audit.list', { tenantId, fromMs, toMs, action, before, limit: limit + 1 });
    const last = found[limit - 1];
    const more = found.length > limit && last !== undefined;
    return { items: found.slice(0, limit).map(({ record }) => record), nextCursor: more ? cursorOf(last.record.at, last.seq) : undefined };
  }

  /** Removes what is older than 180 days, piece by piece; the count that went. */
  async expire(now: number): Promise<number> {
    let total = 0;
    for (;;) {
      const gone = await this.database.write('audit.expire', { now, limit: 500 });
      total += gone;
      if (gone < 500) return total;
    }
  }
}
