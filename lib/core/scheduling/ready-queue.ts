import type { Priority } from '../functions/model.js';
import type { FunctionId, RequestId, TenantId } from '../ids.js';
import type { ReadyEntry } from '../invocations/port.js';

/** Entries held in memory for one function and priority; the rest waits in the store. */
export const PREFETCH = 256;

/**
 * The ready requests of one function at one priority: the soonest ones in memory, the rest only counted.
 * Invariant: while `more` is set, nothing in the store is due sooner than the last entry held here,
 * so a million rows cost the memory of PREFETCH and the soonest is always at hand.
 */
export class ReadyQueue {
  private readonly held: ReadyEntry[] = [];
  private readonly ids = new Set<RequestId>();
  /** The store may hold entries that are not in memory. */
  more = false;
  /** Something became ready and was left to the store since the last refill began. */
  private missed = false;
  /** Ready in all, in memory and in the store. */
  count = 0;
  bytes = 0;

  constructor(
    readonly tenantId: TenantId,
    readonly functionId: FunctionId,
    readonly priority: Priority,
  ) {}

  /** One more has become ready (accepted, to be retried, given back). */
  offer(entry: ReadyEntry): void {
    this.count += 1;
    this.bytes += entry.payloadBytes;
    this.hold(entry);
  }

  /** A refill is being read from the store: what is offered meanwhile may be missing in its answer. */
  beginRefill(): void {
    this.missed = false;
  }

  /** The soonest `limit` entries of the store. `taken` ones are being claimed and only look ready still. */
  refill(entries: readonly ReadyEntry[], limit: number, taken: (id: RequestId) => boolean): void {
    for (const entry of entries) if (!this.ids.has(entry.requestId) && !taken(entry.requestId)) this.insert(entry);
    this.more = this.missed || entries.length >= limit;
    const last = entries.at(-1);
    // Beyond the last one read, the store may hold sooner ones than memory does: those are read again later.
    if (this.more) while (this.held.length > 0 && (!last || (this.held.at(-1) as ReadyEntry).readyAt > last.readyAt)) this.drop();
    if (!this.more) this.recount();
  }

  /** The soonest, due or not. */
  peek(): ReadyEntry | undefined {
    return this.held[0];
  }

  take(): ReadyEntry | undefined {
    const entry = this.held.shift();
    if (!entry) return undefined;
    this.ids.delete(entry.requestId);
    this.count = Math.max(0, this.count - 1);
    this.bytes = Math.max(0, this.bytes - entry.payloadBytes);
    return entry;
  }

  /** Memory is running low and the store has more. */
  get wantsMore(): boolean {
    return this.more && this.held.length <= PREFETCH / 4;
  }

  get isEmpty(): boolean {
    return this.held.length === 0 && !this.more;
  }

  get heldCount(): number {
    return this.held.length;
  }

  private hold(entry: ReadyEntry): void {
    if (this.ids.has(entry.requestId)) return;
    const last = this.held.at(-1);
    if (this.more && (!last || entry.readyAt >= last.readyAt)) {
      this.missed = true;
      return;
    }
    this.insert(entry);
    if (this.held.length <= PREFETCH) return;
    this.drop();
    this.more = true;
    this.missed = true;
  }

  private drop(): void {
    const dropped = this.held.pop();
    if (dropped) this.ids.delete(dropped.requestId);
  }

  private recount(): void {
    this.count = this.held.length;
    this.bytes = this.held.reduce((sum, entry) => sum + entry.payloadBytes, 0);
  }

  /** Keeps the order of readyAt, first come first within it. Almost always at the end. */
  private insert(entry: ReadyEntry): void {
    let at = this.held.length;
    while (at > 0 && (this.held[at - 1] as ReadyEntry).readyAt > entry.readyAt) at -= 1;
    this.held.splice(at, 0, entry);
    this.ids.add(entry.requestId);
  }
}
