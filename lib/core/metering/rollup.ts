import type { AuditRecord } from '../audit/model.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { Quantities } from './model.js';
import { HOUR_MS } from './month.js';
import { gbSecOf } from './quantity.js';

/** One rollup row that the ledger does not bear out. */
export interface RollupFault {
  tenantId: TenantId;
  functionId: FunctionId;
  version: string;
  /** Epoch hours. */
  hour: number;
  stored: Quantities;
  ledger: Quantities;
}

/** Written in one step with the mended row. */
export const rollupRecord = (fault: RollupFault, at: number): AuditRecord => ({
  at,
  tenantId: fault.tenantId,
  actor: 'platform',
  action: 'billing.rollup',
  target: `${new Date(fault.hour * HOUR_MS).toISOString().slice(0, 13)} ${fault.functionId}:${fault.version}`,
  detail: { stored: shown(fault.stored), ledger: shown(fault.ledger) },
});

const shown = (sum: Quantities) => ({ requests: sum.requests, billedMs: sum.billedMs, gbSec: gbSecOf(sum.mbMs) });
