import type { ErrorInfo } from '../core/invocations/model.js';
import type { SlotSpec } from '../core/scheduling/port.js';
import { type Job, SlotErrors } from './job.js';
import type { SlotExit } from './launcher.js';

/** Why the invoker ended a slot's process itself. */
export type Doom =
  | { kind: 'deadline'; job: Job }
  | { kind: 'memory' }
  | { kind: 'forged'; what: string }
  | { kind: 'init'; error: ErrorInfo }
  /** Not needed any more: nothing runs in it. */
  | { kind: 'retired' }
  | { kind: 'shutdown' };

/** Whose fault it is that a process ended with a call in it, and how that is told. A crash is the tenant's; what we ended for our own reasons is ours. */
export function verdictOnDeath(
  spec: Pick<SlotSpec, 'memoryMb'>,
  doom: Doom | undefined,
  exit: SlotExit | undefined,
  saysOutOfMemory: boolean,
): { outcome: 'failed' | 'lost'; error: ErrorInfo } {
  if (doom?.kind === 'memory' || exit?.oom || (!doom && saysOutOfMemory)) {
    return { outcome: 'failed', error: SlotErrors.outOfMemory(spec.memoryMb) };
  }
  if (doom?.kind === 'forged') return { outcome: 'failed', error: SlotErrors.forged(doom.what) };
  if (doom?.kind === 'init') return { outcome: 'failed', error: doom.error };
  if (doom) return { outcome: 'lost', error: SlotErrors.lost('The platform ended the process of the function.') };
  return { outcome: 'failed', error: SlotErrors.exited(exit?.code ?? null, exit?.signal ?? null) };
}
