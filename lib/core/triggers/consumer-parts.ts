import type { Clock, Random } from '../clock.js';
import type { FunctionRecord } from '../functions/model.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { InvocationStore } from '../invocations/port.js';
import type { Invocations } from '../invocations/service.js';
import type { QueueOrigin } from './batch.js';
import type { LastResult, QueueTrigger } from './model.js';
import type { QueueStore } from './port.js';

/** What a consumer of a queue stands on. */
export interface ConsumerParts {
  store: QueueStore;
  invocations: Pick<Invocations, 'invokeSync'>;
  letters: Pick<InvocationStore, 'deposit' | 'place'>;
  clock: Clock;
  random: Random;
  /** sha256 over the texts, each ended by a NUL, as hex. */
  digest(...texts: string[]): string;
  /** Answered from memory; undefined where it is deleted. */
  findFunction(tenantId: TenantId, functionId: FunctionId): FunctionRecord | undefined | Promise<FunctionRecord | undefined>;
  originOf(trigger: QueueTrigger): QueueOrigin;
  /** How a batch ended, or why none runs. */
  noted(trigger: QueueTrigger, result: LastResult): void;
}

/** What the consumers of a process share. */
export interface Shared extends ConsumerParts {
  /** Batches that are being delivered here, also by a consumer that was replaced meanwhile. */
  delivering: Set<string>;
  /** The queue may have messages again. */
  wake(tenantId: TenantId, queue: string): void;
}
