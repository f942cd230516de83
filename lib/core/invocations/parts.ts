import type { AuditLog } from '../audit/model.js';
import type { Clock, Random } from '../clock.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { Admission } from '../scheduling/admission.js';
import type { Invoker } from '../scheduling/port.js';
import type { Quotas } from '../tenancy/model.js';
import type { Deployments } from './deployments.js';
import type { Endings } from './endings.js';
import type { FaultOwner, Mode, Outcome } from './model.js';
import type { InvocationStore } from './port.js';
import type { RequestIds } from './request-ids.js';

/** One attempt as metrics see it. */
export interface MeasuredAttempt {
  tenantId: TenantId;
  functionId: FunctionId;
  version: string;
  mode: Mode;
  coldStart: boolean;
  durationMs: number;
  /** From acceptance (sync) or claim (async) to the recorded outcome, handler time taken out. */
  overheadMs: number;
  outcome: Outcome;
  fault: FaultOwner | null;
}

/** What the composition root puts together for the invocation path. */
export interface EngineParts {
  store: InvocationStore;
  invoker: Invoker;
  deployments: Deployments;
  clock: Clock;
  random: Random;
  /** This process and boot: the owner of its leases. */
  owner: string;
  /** sha256 over the texts, each ended by a NUL, as hex. */
  digest(...texts: string[]): string;
  quotasOf(tenantId: TenantId): Quotas;
  /** Why nothing new can be taken now (the store is lost, the disk is full); undefined: it can. */
  cannotAccept(): string | undefined;
  measured(attempt: MeasuredAttempt): void;
  audit: AuditLog;
}

/** The same, with what the parts of the path share among themselves. */
export interface PathParts extends EngineParts {
  admission: Admission;
  endings: Endings;
  ids: RequestIds;
  /** A nonce never used before: boot and sequence. */
  nonce(): string;
}
