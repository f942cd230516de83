/**
 * Where a call goes that finds no idle slot: behind a running call, to a new slot, or into the pool's queue.
 * Pure: the pool measures, this decides.
 */

/** Calls sent ahead into one slot may keep the last of them waiting about this long. */
const QUEUE_AHEAD_MS = 1;
const QUEUE_AHEAD_MAX = 32;
/** Behind a call that has run this long nothing more is queued, and what was is called back. */
export const STUCK_MS = 5;

export interface PoolView {
  /** For each loaded slot that is at work: how long its oldest call has run, and how many calls wait in it behind the running ones. */
  busy: readonly { elapsedMs: number; queued: number }[];
  /** Slots on their way; each will take one waiting call at once. */
  starting: number;
  /** Calls that wait for a slot, the new one included. */
  waiting: number;
  /** Handler time, moving average; undefined before the first answer. */
  serviceMs: number | undefined;
  /** How long a new slot took to be ready of late. */
  coldStartMs: number;
  /** Loaded and starting ones. */
  slots: number;
  maxSlots: number;
}

/** How many calls may be in a slot at once, `perSlot` of them running: more than that only where calls are known to be short. */
export function slotDepth(perSlot: number, serviceMs: number | undefined): number {
  if (perSlot > 1 || serviceMs === undefined || serviceMs >= QUEUE_AHEAD_MS) return perSlot;
  return 1 + Math.min(QUEUE_AHEAD_MAX, Math.floor(QUEUE_AHEAD_MS / Math.max(serviceMs, 0.001)));
}

/**
 * When the last waiting call would start if no slot is added, in ms from now. Slots free up in turn, each again after one
 * handler time. Unbounded where nothing is known of the handler and every slot is taken.
 */
export function expectedWaitMs(view: PoolView): number {
  const { busy, starting, waiting, serviceMs, coldStartMs } = view;
  const servers = busy.length + starting;
  if (servers === 0) return Number.POSITIVE_INFINITY;
  const free = busy.map(({ elapsedMs, queued }) => remainingMs(elapsedMs, serviceMs) + (queued > 0 ? queued * (serviceMs ?? 0) : 0));
  for (let n = 0; n < starting; n += 1) free.push(coldStartMs);
  free.sort((a, b) => a - b);
  const before = Math.max(0, waiting - 1);
  const rounds = Math.floor(before / servers);
  const first = free[before % servers]!;
  return rounds === 0 ? first : first + rounds * (serviceMs ?? Number.POSITIVE_INFINITY);
}

/** A call that outlived the average is expected to last as long again as it already has (Lindy). */
function remainingMs(elapsedMs: number, serviceMs: number | undefined): number {
  if (serviceMs === undefined) return Number.POSITIVE_INFINITY;
  return elapsedMs < serviceMs ? serviceMs - elapsedMs : elapsedMs;
}

/** Another slot is worth its start only where waiting would take longer. */
export function wantsAnotherSlot(view: PoolView): boolean {
  if (view.slots >= view.maxSlots) return false;
  // Every waiting call has a slot on its way.
  if (view.waiting <= view.starting) return false;
  return expectedWaitMs(view) > view.coldStartMs;
}

export interface IdleSlotView {
  /** Calls of its pool of late, halved every minute. */
  heat: number;
  coldStartMs: number;
  memoryMb: number;
  idleMs: number;
}

/** What is lost when this idle slot goes: likely use times cost of starting again, by the memory that it holds (GreedyDual-Size-Frequency). */
export const slotValue = ({ heat, coldStartMs, memoryMb, idleMs }: IdleSlotView): number =>
  ((heat + 1) * coldStartMs) / memoryMb / (1 + idleMs / 60_000);
