import { DEFAULTS } from '../defaults.js';
import type { FunctionId, TenantId } from '../ids.js';
import type { Page } from '../page.js';
import type { Refusal } from '../refusal.js';
import { Admission } from '../scheduling/admission.js';
import { AsyncCalls } from './async-calls.js';
import { Dispatcher } from './dispatcher.js';
import { Endings } from './endings.js';
import type { Head } from './model.js';
import type { EngineParts, PathParts } from './parts.js';
import type { DeadLetterFilter, InvocationFilter } from './port.js';
import { storeAway } from './refusals.js';
import { Replays } from './replays.js';
import { RequestIds } from './request-ids.js';
import type { AsyncAnswer, Invocations, InvokeCall, ReplayProgress, SyncAnswer } from './service.js';
import { SyncCalls } from './sync-calls.js';

/** The invocation path of one process: everything that runs tenants' code goes through here. */
export class Engine implements Invocations {
  readonly admission: Admission;
  readonly dispatcher: Dispatcher;
  private readonly endings = new Endings();
  private readonly parts: PathParts;
  private readonly sync: SyncCalls;
  private readonly async: AsyncCalls;
  private readonly replays: Replays;
  private cancelBeat = () => {};

  constructor(parts: EngineParts) {
    let nonces = 0;
    this.admission = new Admission(
      (tenantId) => parts.quotasOf(tenantId).concurrency,
      (tenantId) => this.dispatcher.freed(tenantId),
    );
    this.parts = {
      ...parts,
      admission: this.admission,
      endings: this.endings,
      ids: new RequestIds(parts.clock, parts.random),
      nonce: () => {
        nonces += 1;
        return `${parts.owner}.${nonces.toString(36)}`;
      },
    };
    this.dispatcher = new Dispatcher(this.parts, () => this.sync.running());
    this.sync = new SyncCalls(this.parts);
    this.async = new AsyncCalls(this.parts, this.dispatcher);
    this.replays = new Replays(this.parts, this.dispatcher);
  }

  /** Recovers what an earlier process left, then takes calls. */
  async start(): Promise<void> {
    await this.parts.store.heartbeat(this.parts.owner, this.parts.clock.now());
    this.beatLater();
    this.sync.start();
    await this.dispatcher.start();
    await this.replays.resume();
  }

  /** Refuses new calls, lets the running ones end, at most `withinMs`. */
  async stop(withinMs: number): Promise<void> {
    this.sync.stop();
    this.replays.stop();
    const drained = Promise.all([this.dispatcher.stop(), this.sync.idle()]);
    await Promise.race([drained, new Promise<void>((resolve) => this.parts.clock.after(withinMs, resolve))]);
    this.cancelBeat();
  }

  invokeSync(call: InvokeCall): Promise<SyncAnswer> {
    // Also without a key: what runs now must be recorded in the end, and there would be nowhere to.
    const why = this.parts.cannotAccept();
    return why === undefined ? this.sync.invoke(call) : Promise.resolve({ kind: 'refused', refusal: storeAway(why) });
  }

  invokeAsync(call: InvokeCall): Promise<AsyncAnswer> {
    const why = this.parts.cannotAccept();
    return why === undefined ? this.async.invoke(call) : Promise.resolve({ kind: 'refused', refusal: storeAway(why) });
  }

  get(tenantId: TenantId, requestId: string): Promise<Head | undefined> {
    return this.parts.store.get(tenantId, requestId as Head['requestId']);
  }

  async result(head: Head): Promise<string | undefined> {
    if (!head.result) return undefined;
    return head.result.kind === 'inline' ? head.result.json : this.parts.store.bytes(head.result);
  }

  list(filter: InvocationFilter): Promise<Page<Head>> {
    return this.parts.store.list(filter);
  }

  deadLetters(filter: DeadLetterFilter): Promise<Page<Head>> {
    return this.parts.store.deadLetters(filter);
  }

  replay(filter: Omit<DeadLetterFilter, 'limit' | 'cursor'>, ratePerSec: number | undefined, actor: string): Promise<ReplayProgress> {
    return this.replays.start(filter, ratePerSec, actor);
  }

  replayOne(tenantId: TenantId, requestId: string, actor: string): Promise<ReplayProgress | Refusal | undefined> {
    return this.replays.one(tenantId, requestId, actor);
  }

  replayProgress(tenantId: TenantId, replayId: string): Promise<ReplayProgress | undefined> {
    return this.replays.progress(tenantId, replayId);
  }

  onEnd(listener: (head: Head) => void): void {
    this.endings.onEnd(listener);
  }

  /** A function was made, changed or deleted: limits and waiting work are looked at again. */
  functionChanged(tenantId: TenantId, functionId: FunctionId, reserved: number): void {
    this.admission.setReserved(tenantId, functionId, reserved);
    this.dispatcher.changed(functionId);
  }

  private beatLater(): void {
    this.cancelBeat = this.parts.clock.after(DEFAULTS.heartbeatMs, () => {
      this.parts.store.heartbeat(this.parts.owner, this.parts.clock.now()).catch(() => undefined);
      this.beatLater();
    });
  }
}
