import { DEFAULTS } from '../defaults.js';
import type { FunctionRecord } from '../functions/model.js';
import type { FunctionId, RequestId } from '../ids.js';
import { Refusal } from '../refusal.js';
import type { SlotEnd, SlotSpec } from '../scheduling/port.js';
import { replayedMessageFault } from '../triggers/batch.js';
import { attemptEnd, SMALL_JSON_CHARS, voidAtOf } from './attempts.js';
import type { ClaimRef, Head, Stored } from './model.js';
import type { PathParts } from './parts.js';
import type { ReadyEntry } from './port.js';

/** What a run tells the dispatcher. */
interface Told {
  /** Ready again, now or later. */
  offer(head: Head): void;
  ended(functionId: FunctionId, durationMs: number): void;
  settled(): void;
}

/** No slot was free in time: the request waits this long before its next turn. */
const BUSY_DEFER_MS = 500;
/** A completion that the store could not take is repeated this often: the nonce makes repeats harmless. */
const COMPLETE_TRIES = 20;
const COMPLETE_RETRY_MS = 500;

/** A queue's message that is replayed is handled only if the handler does not report it as failed. */
function judged(head: Head, end: SlotEnd): SlotEnd {
  const error = end.kind === 'succeeded' ? replayedMessageFault(head.source, end.result) : undefined;
  if (end.kind !== 'succeeded' || !error) return end;
  const { startedAt, durationMs, coldStart } = end;
  return { kind: 'failed', error, startedAt, durationMs, coldStart };
}

/** One attempt of an async request: claim, run, complete. Whatever fails, the request keeps a state with an exit. */
export class AsyncRun {
  private readonly held = new Set<RequestId>();
  private onIdle: (() => void)[] = [];

  constructor(
    private readonly parts: PathParts,
    private readonly told: Told,
  ) {}

  get count(): number {
    return this.held.size;
  }

  running(): Iterable<RequestId> {
    return this.held;
  }

  /** True while this request is being claimed or run here. */
  holds(requestId: RequestId): boolean {
    return this.held.has(requestId);
  }

  async idle(): Promise<void> {
    if (this.held.size > 0) await new Promise<void>((resolve) => this.onIdle.push(resolve));
  }

  /** @param fn admitted by the caller; undefined where the function is deleted. */
  start(entry: ReadyEntry, fn: FunctionRecord | undefined): void {
    this.held.add(entry.requestId);
    this.attempt(entry, fn)
      // The store is lost: the request is still recorded there, and the sweep finds it once its lease is void.
      .catch(() => undefined)
      .then((again) => {
        this.held.delete(entry.requestId);
        if (fn) this.parts.admission.leave(fn.tenantId, fn.functionId);
        if (again) this.told.offer(again);
        this.told.settled();
        if (this.held.size === 0) for (const resolve of this.onIdle.splice(0)) resolve();
      });
  }

  /** The head where the request is ready again. */
  private async attempt(entry: ReadyEntry, fn: FunctionRecord | undefined): Promise<Head | undefined> {
    if (!fn) return this.bury(entry, 'function_deleted');
    const found = this.parts.deployments.spec(fn, entry.qualifier);
    const spec = found instanceof Promise ? await found : found;
    const now = this.parts.clock.now();
    const timeoutSec = spec instanceof Refusal ? fn.timeoutSec : spec.timeoutSec;
    const nonce = this.parts.nonce();
    const claim = { owner: this.parts.owner, nonce, now, voidAt: voidAtOf(now, timeoutSec), maxAgeSec: fn.retry.maxAgeSec };
    const decision = await this.parts.store.claim(entry.requestId, claim);
    switch (decision.kind) {
      case 'claimed':
        return this.claimed(decision.head, fn, spec);
      case 'notBefore':
        return this.parts.store.get(entry.tenantId, entry.requestId);
      case 'freed':
        return decision.head;
      case 'buried':
        this.parts.endings.announce(decision.head);
        return undefined;
      default:
        return undefined;
    }
  }

  private async claimed(head: Head, fn: FunctionRecord, spec: SlotSpec | Refusal): Promise<Head | undefined> {
    const startedAtMs = this.parts.clock.monotonicMs();
    const ref: ClaimRef = { requestId: head.requestId, attempt: head.attempt, nonce: head.lastNonce };
    const end = spec instanceof Refusal ? unrunnable(spec, this.parts.clock.now()) : judged(head, await this.runSlot(head, spec));
    if (end.kind === 'busy') {
      const until = this.parts.clock.now() + BUSY_DEFER_MS;
      return (await this.parts.store.defer(ref, until)) ? { ...head, state: 'ACCEPTED', lease: undefined, readyAt: until } : undefined;
    }
    return this.complete(head, ref, fn, spec, end, startedAtMs);
  }

  private async runSlot(head: Head, spec: SlotSpec): Promise<SlotEnd> {
    const payload = head.payload?.kind === 'blob' ? await this.parts.store.bytes(head.payload) : (head.payload?.json ?? 'null');
    return this.parts.invoker.run(spec, {
      requestId: head.requestId,
      attempt: head.attempt,
      payload,
      triggerId: head.source?.triggerId,
      slotWaitMs: DEFAULTS.slotWaitMs,
    });
  }

  private async complete(
    head: Head,
    ref: ClaimRef,
    fn: FunctionRecord,
    spec: SlotSpec | Refusal,
    end: Exclude<SlotEnd, { kind: 'busy' }>,
    startedAtMs: number,
  ): Promise<Head | undefined> {
    const ran = spec instanceof Refusal ? { version: head.qualifier, codeSha256: '', memoryMb: fn.memoryMb } : spec;
    const result = end.kind === 'succeeded' ? await this.placed(end.result) : undefined;
    const attempt = attemptEnd(ran, end, result, this.parts.clock.now());
    const policy = () => ({ retry: fn.retry, jitter: this.parts.random.fraction(), now: this.parts.clock.now() });
    const decision = await this.persistently(() => this.parts.store.complete(ref, attempt, policy()));
    const { durationMs, version, coldStart, outcome, fault } = attempt.attempt;
    this.told.ended(head.functionId, durationMs);
    if (decision.kind === 'stale') return undefined;
    const overheadMs = Math.max(0, this.parts.clock.monotonicMs() - startedAtMs - durationMs);
    const { tenantId, functionId, mode } = head;
    this.parts.measured({ tenantId, functionId, mode, version, coldStart, durationMs, outcome, fault, overheadMs });
    this.parts.endings.announce(decision.head);
    return decision.head.state === 'RETRYING' ? decision.head : undefined;
  }

  private placed(json: string): Stored | Promise<Stored> {
    return json.length <= SMALL_JSON_CHARS ? { kind: 'inline', json } : this.persistently(() => this.parts.store.place(json));
  }

  /** What has run must be recorded: a store that is away for a moment is asked again. */
  private async persistently<T>(step: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await step();
      } catch (cause) {
        if (tries >= COMPLETE_TRIES) throw cause;
        await new Promise<void>((resolve) => this.parts.clock.after(COMPLETE_RETRY_MS, resolve));
      }
    }
  }

  private async bury(entry: ReadyEntry, reason: 'function_deleted'): Promise<undefined> {
    const head = await this.parts.store.bury(entry.requestId, reason, this.parts.clock.now(), this.parts.nonce());
    if (head) this.parts.endings.announce(head);
  }
}

/** The version is gone or has no code: the tenant's to mend; nothing ran, so nothing is billed. */
const unrunnable = (refusal: Refusal, now: number): Extract<SlotEnd, { kind: 'initFailed' }> => ({
  kind: 'initFailed',
  error: { type: refusal.code, message: refusal.message },
  startedAt: now,
  durationMs: 0,
  coldStart: false,
});
