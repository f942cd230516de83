import type { TenantId } from '../ids.js';

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
