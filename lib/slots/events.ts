import type { FunctionId, TenantId } from '../core/ids.js';

/** What happens to slots, for metrics. */
export type SlotEvent =
  /** Code was loaded into a process. `startMs`: from the wish for a slot until then. */
  | {
      kind: 'started';
      tenantId: TenantId;
      functionId: FunctionId;
      version: string;
      isPrepared: boolean;
      isForCall: boolean;
      startMs: number;
    }
  | { kind: 'initFailed'; tenantId: TenantId; functionId: FunctionId; version: string; errorType: string }
  | { kind: 'ended'; tenantId: TenantId; functionId: FunctionId; version: string }
  /** No process could be started, by our fault. */
  | { kind: 'startFault'; error: unknown };
