import type { Clock } from '../core/clock.js';
import type { Runtime } from '../core/functions/model.js';
import type { TenantId } from '../core/ids.js';
import type { LaunchedSlot, Launcher, LaunchRequest, SlotKind } from './launcher.js';
import type { Leftovers } from './leftovers.js';

/** How a runtime's bootstrap is started on this machine. */
export interface RuntimeCommand {
  kind: SlotKind;
  argv: readonly string[];
  /** Prepared processes kept for the smallest common class from the start; other classes keep one while they are used. */
  spares: number;
}

export interface PreparedOptions {
  launcher: Launcher;
  clock: Clock;
  /** Undefined: this machine lacks the runtime. `memoryMb` is the class. */
  command(runtime: Runtime, memoryMb: number): RuntimeCommand | undefined;
  leftovers?: Leftovers;
  /** Set aside from the start. */
  prepareAtStart?: readonly Runtime[];
  onFault?(error: unknown): void;
}

/** A prepared process is started again this long after one was taken, so that it does not compete with the call that took it. */
const REFILL_AFTER_MS = 30;
/** A launch that failed is tried again after this. */
const RETRY_AFTER_MS = 5000;
const UNUSED_AFTER_MS = 600_000;
/** V8's heap limit can't be changed in a running process: each class has processes of its own. */
const CLASSES_MB = [64, 128, 256, 512, 1024, 2048, 4096, 10_240];
const COMMON_CLASS_MB = 128;

/** The environment of every slot before its function is known. */
const CLEAN_ENV = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', TZ: 'UTC', HOME: '/tmp' } as const;

export const memoryClassMb = (memoryMb: number): number => CLASSES_MB.find((size) => memoryMb <= size) ?? memoryMb;

interface Shelf {
  request: LaunchRequest;
  spares: LaunchedSlot[];
  wanted: number;
  /** Wanted also where it is not used. */
  wantedAlways: number;
  /** On its way to be a spare, unless a call takes it first. */
  coming: Promise<LaunchedSlot> | undefined;
  isRefillDue: boolean;
  usedAt: number;
}

/** Starts processes for slots; keeps some waiting with their bootstrap loaded. A process serves one slot, once. */
export class Prepared {
  private readonly shelves = new Map<string, Shelf>();
  private isClosed = false;

  constructor(private readonly options: PreparedOptions) {
    for (const runtime of options.prepareAtStart ?? []) {
      const command = options.command(runtime, COMMON_CLASS_MB);
      if (!command || command.spares === 0) continue;
      const shelf = this.shelf(command, COMMON_CLASS_MB, 'internet');
      shelf.wantedAlways = command.spares;
      shelf.wanted = command.spares;
      this.refillSoon(shelf, 0);
    }
  }

  /** A process for this runtime and memory: a prepared one where there is one. Rejects where none can be started. */
  async take(
    runtime: Runtime,
    memoryMb: number,
    network: LaunchRequest['network'],
    tenantId: TenantId,
  ): Promise<{ launched: LaunchedSlot; kind: SlotKind; isPrepared: boolean }> {
    const classMb = memoryClassMb(memoryMb);
    const command = this.options.command(runtime, classMb);
    if (!command) throw new Error(`This machine has no ${runtime}.`);
    const shelf = this.shelf(command, classMb, network);
    shelf.usedAt = this.options.clock.monotonicMs();
    shelf.wanted = Math.max(shelf.wanted, Math.min(1, command.spares));
    const spare = shelf.spares.shift() ?? shelf.coming;
    if (spare === shelf.coming) shelf.coming = undefined;
    this.refillSoon(shelf, REFILL_AFTER_MS);
    if (spare) return { launched: await spare, kind: command.kind, isPrepared: true };
    const launched = await this.launch({ ...shelf.request, tenantId });
    return { launched, kind: command.kind, isPrepared: false };
  }

  /** Gives memory of classes that nobody used for a while back. */
  trim(now: number): void {
    for (const shelf of this.shelves.values()) {
      if (now - shelf.usedAt < UNUSED_AFTER_MS) continue;
      shelf.wanted = shelf.wantedAlways;
      for (const spare of shelf.spares.splice(shelf.wanted)) spare.kill();
    }
  }

  get count(): number {
    let count = 0;
    for (const shelf of this.shelves.values()) count += shelf.spares.length;
    return count;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const spares = [...this.shelves.values()].flatMap((shelf) => shelf.spares.splice(0));
    for (const spare of spares) spare.kill();
    await Promise.all(spares.map(({ exited }) => exited));
    await this.options.launcher.close?.();
  }

  private shelf(command: RuntimeCommand, memoryMb: number, network: LaunchRequest['network']): Shelf {
    const { kind, argv } = command;
    const key = [network, ...argv].join('\0');
    const known = this.shelves.get(key);
    if (known) return known;
    const request: LaunchRequest = { kind, argv, env: CLEAN_ENV, memoryMb, network };
    const usedAt = this.options.clock.monotonicMs();
    const shelf: Shelf = { request, spares: [], wanted: 0, wantedAlways: 0, coming: undefined, isRefillDue: false, usedAt };
    this.shelves.set(key, shelf);
    return shelf;
  }

  private async launch(request: LaunchRequest): Promise<LaunchedSlot> {
    const launched = await this.options.launcher.launch(request);
    const { leftovers } = this.options;
    leftovers?.add(launched.pid);
    void launched.exited.then(() => leftovers?.remove(launched.pid));
    return launched;
  }

  private refillSoon(shelf: Shelf, afterMs: number): void {
    if (shelf.isRefillDue || this.isClosed) return;
    shelf.isRefillDue = true;
    this.options.clock.after(afterMs, () => {
      shelf.isRefillDue = false;
      void this.refill(shelf);
    });
  }

  private async refill(shelf: Shelf): Promise<void> {
    if (shelf.coming || this.isClosed || shelf.spares.length >= shelf.wanted) return;
    const coming = this.launch(shelf.request);
    shelf.coming = coming;
    try {
      const launched = await coming;
      // A call took it on its way: it is no spare any more.
      if (shelf.coming !== coming) return;
      shelf.coming = undefined;
      if (this.isClosed) {
        launched.kill();
        return;
      }
      shelf.spares.push(launched);
      void launched.exited.then(() => this.lost(shelf, launched));
      if (shelf.spares.length < shelf.wanted) this.refillSoon(shelf, REFILL_AFTER_MS);
    } catch (error) {
      if (shelf.coming === coming) shelf.coming = undefined;
      this.options.onFault?.(error);
      this.refillSoon(shelf, RETRY_AFTER_MS);
    }
  }

  /** A spare that ended by itself is replaced, slowly: it may end again. */
  private lost(shelf: Shelf, launched: LaunchedSlot): void {
    const place = shelf.spares.indexOf(launched);
    if (place < 0) return;
    shelf.spares.splice(place, 1);
    this.refillSoon(shelf, RETRY_AFTER_MS);
  }
}
