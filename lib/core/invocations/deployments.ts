import type { FunctionRecord } from '../functions/model.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { Refusal } from '../refusal.js';
import type { SlotSpec } from '../scheduling/port.js';

/** What the invocation path must know of functions; answered from memory, a promise only on a miss. */
export interface Deployments {
  find(tenantId: TenantId, functionId: FunctionId): FunctionRecord | undefined | Promise<FunctionRecord | undefined>;
  /** What would run now under this qualifier; a Refusal where nothing can (no such version, no code, runtime not here). */
  spec(fn: FunctionRecord, qualifier: string): SlotSpec | Refusal | Promise<SlotSpec | Refusal>;
}
