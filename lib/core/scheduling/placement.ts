/**
 * Where a call goes that finds no idle slot: behind a running call, to a new slot, or into the pool's queue.
 * Pure: the pool measures, this decides.
 */

/** Calls sent ahead into one slot may keep the last of them waiting about this long. */
const QUEUE_AHEAD_MS = 1;
const QUEUE_AHEAD_MAX = 32;
/** Enough for a microsecond in an hour. */
const BISECTIONS = 32;
/** Behind a call that has run this long nothing more is queued, and what was is called back. */
export const STUCK_MS = 5;
/** A machine under load may stand still for so long: only after that a short call is taken for one that waits for something. */
const STALL_MS = 100;

export interface PoolView {
  /** For each loaded slot that is at work: how long its oldest call has run, and how many calls wait in it behind the running ones. */
  busy: readonly { elapsedMs: number; queued: number }[];
  /** Slots on their way; each will take one waiting call at once. */
  starting: number;
  /** Calls that wait for a slot, the new one included. */
  waiting: number;
  /** Handler time, moving average; undefined before the first answer. */
  serviceMs: number | undefined;
  /** What most calls take: an average that falls fast and rises slowly, so that a stall of the machine hardly moves it. */
  typicalMs: number | undefined;
  /** Processors of the machine. */
  cores: number;
  /** How long a new slot took to be ready of late. */
  coldStartMs: number;
  /** Loaded and starting ones. */
  slots: number;
  maxSlots: number;
}

export const isShort = (typicalMs: number | undefined): typicalMs is number => typicalMs !== undefined && typicalMs < QUEUE_AHEAD_MS;

/** How many calls may be in a slot at once, `perSlot` of them running: more than that only where calls are known to be short. */
export function slotDepth(perSlot: number, typicalMs: number | undefined): number {
  if (perSlot > 1 || !isShort(typicalMs)) return perSlot;
  return 1 + Math.min(QUEUE_AHEAD_MAX, Math.floor(QUEUE_AHEAD_MS / Math.max(typicalMs, 0.001)));
}

const FALLS = 0.2;
const RISES = 0.01;

/** The next `typicalMs`, after a call that took `ms`. */
export const typicalAfter = (typicalMs: number | undefined, ms: number): number =>
  typicalMs === undefined ? ms : typicalMs + (ms < typicalMs ? FALLS : RISES) * (ms - typicalMs);

/**
 * When the last waiting call would start if no slot is added, in ms from now. Each slot starts one when it is free and
 * again after each handler time; the answer is the n-th smallest of all those moments. Unbounded where nothing is known
 * of the handler and every slot is taken.
 */
export function expectedWaitMs(view: PoolView): number {
  const { busy, starting, waiting, serviceMs = Number.POSITIVE_INFINITY, coldStartMs } = view;
  const free = busy.map(({ elapsedMs, queued }) => remainingMs(elapsedMs, serviceMs) + (queued > 0 ? queued * serviceMs : 0));
  for (let n = 0; n < starting; n += 1) free.push(coldStartMs);
  free.sort((a, b) => a - b);
  if (waiting <= free.length && serviceMs === Number.POSITIVE_INFINITY) return free[waiting - 1]!;
  if (free.length === 0 || serviceMs === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  const startsUntil = (ms: number): number => {
    let starts = 0;
    for (const at of free) if (at <= ms) starts += 1 + Math.floor((ms - at) / serviceMs);
    return starts;
  };
  let early = 0;
  let late = free[0]! + waiting * serviceMs;
  for (let step = 0; step < BISECTIONS && early < late; step += 1) {
    const middle = (early + late) / 2;
    if (startsUntil(middle) >= waiting) late = middle;
    else early = middle;
  }
  return late;
}

/** A call that outlived the average is expected to last as long again as it already has (Lindy). */
const remainingMs = (elapsedMs: number, serviceMs: number): number => (elapsedMs < serviceMs ? serviceMs - elapsedMs : elapsedMs);

/** Another slot is worth its start only where waiting would take longer. */
export function wantsAnotherSlot(view: PoolView): boolean {
  if (view.slots >= view.maxSlots) return false;
  // Every waiting call has a slot on its way.
  if (view.waiting <= view.starting) return false;
  // Short calls are work for a processor: more slots than those only take turns, and make one another look slow.
  if (isShort(view.typicalMs)) {
    const moving = view.busy.filter(({ elapsedMs }) => elapsedMs < STALL_MS).length;
    if (view.starting > 0 || moving >= view.cores) return false;
  }
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
