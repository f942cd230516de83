import type { TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';

/** One change, append-only, kept 180 days. `detail` holds no secret. */
export interface AuditRecord {
  /** Epoch ms. */
  at: number;
  tenantId: TenantId;
  /** keyId, or `platform` where the platform acted by itself. */
  actor: string;
  /** `function.create`, `deadletter.replay`, `billing.adjust`, … */
  action: string;
  /** The id or name of what was changed. */
  target: string;
  detail?: Record<string, unknown>;
}

export interface AuditLog {
  append(record: AuditRecord): Promise<void>;
}

export interface AuditFilter extends PageQuery {
  tenantId: TenantId;
  /** Epoch ms, `fromMs` included, `toMs` not. */
  fromMs?: number;
  toMs?: number;
  /** Exactly, or all that begin with it where it ends in `*`: `function.*`. */
  action?: string;
}

/** Newest first. */
export interface AuditTrail {
  list(filter: AuditFilter): Promise<Page<AuditRecord>>;
}
