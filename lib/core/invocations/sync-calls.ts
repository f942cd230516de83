import { DEFAULTS } from '../defaults.js';
import { LATEST } from '../functions/model.js';
import type { RequestId } from '../ids.js';
import { PlatformFault, Refusal } from '../refusal.js';
import type { SlotEnd, SlotSpec } from '../scheduling/port.js';
import { attemptEnd, SMALL_JSON_CHARS, voidAtOf } from './attempts.js';
import { finish } from './finish.js';
import { type AcceptRequest, type AttemptEnd, type ClaimRef, type Head, type Stored, TERMINAL } from './model.js';
import type { PathParts } from './parts.js';
import { bareKey, disabled, draining, invokerBusy, otherRequest, overLimit } from './refusals.js';
import type { InvokeCall, SyncAnswer } from './service.js';

/** A sync call that is in the air. */
interface OpenCall {
  call: InvokeCall;
  spec: SlotSpec;
  request: AcceptRequest;
  startedAtMs: number;
  answer: (answer: SyncAnswer) => void;
  answered: boolean;
  /** The early write of a keyless call that runs long: settled before its completion. */
  written?: Promise<unknown>;
}

const SWEEP_MS = 1_000;
/** A platform fault before the handler started is tried again this often. */
const START_TRIES = 3;
/** How often a caller who waits for a run elsewhere looks for its end. */
const POLL_MS = 500;

/**
 * Sync calls: quota, then accept, then slot. Without a key nothing is written while the handler runs; one durable
 * write stores request, outcome and usage before the answer is sent. With a key the accept is durable first.
 */
export class SyncCalls {
  private readonly open = new Set<OpenCall>();
  private readonly keyed = new Map<string, { digest: string; answer: Promise<SyncAnswer> }>();
  private readonly onIdle: (() => void)[] = [];
  private draining = false;
  private stopSweep = () => {};

  constructor(private readonly parts: PathParts) {}

  start(): void {
    this.stopSweep = this.parts.clock.after(SWEEP_MS, () => {
      this.sweep();
      this.start();
    });
  }

  stop(): void {
    this.draining = true;
    this.stopSweep();
  }

  /** Those that are in the air. */
  running(): RequestId[] {
    return [...this.open].map(({ request }) => request.requestId);
  }

  /** Resolves when no call is in the air. */
  async idle(): Promise<void> {
    if (this.open.size > 0) await new Promise<void>((resolve) => this.onIdle.push(resolve));
  }

  async invoke(call: InvokeCall): Promise<SyncAnswer> {
    if (this.draining) return { kind: 'refused', refusal: draining() };
    if (call.fn.state === 'DISABLED') return { kind: 'refused', refusal: disabled(call.fn) };
    const found = this.parts.deployments.spec(call.fn, call.qualifier ?? LATEST);
    const spec = found instanceof Promise ? await found : found;
    if (spec instanceof Refusal) return { kind: 'refused', refusal: spec };
    return call.idempotencyKey === undefined
      ? this.admitted(call, spec, undefined)
      : this.withKey(call, spec, bareKey(call.idempotencyKey));
  }

  /** Those who ask under a key that this process already runs wait for its answer and use no quota. */
  private async withKey(call: InvokeCall, spec: SlotSpec, key: string): Promise<SyncAnswer> {
    const { tenantId, functionId } = call.fn;
    const slot = this.parts.digest(tenantId, functionId, key);
    const digest = this.parts.digest(call.repeats ?? call.payload, call.qualifier ?? LATEST);
    const running = this.keyed.get(slot);
    if (running) {
      if (running.digest !== digest) return { kind: 'refused', refusal: otherRequest() };
      const answer = await running.answer;
      return answer.kind === 'done' ? { ...answer, replayed: true } : answer;
    }
    const answer = this.admitted(call, spec, { slot, digest, expiresAt: this.parts.clock.now() + DEFAULTS.keyTtlMs });
    this.keyed.set(slot, { digest, answer });
    try {
      return await answer;
    } finally {
      this.keyed.delete(slot);
    }
  }

  private admitted(call: InvokeCall, spec: SlotSpec, key: AcceptRequest['key']): Promise<SyncAnswer> {
    const { tenantId, functionId, concurrency } = call.fn;
    const admitted = this.parts.admission.enter(tenantId, functionId, concurrency);
    if (admitted !== 'ok') return Promise.resolve({ kind: 'refused', refusal: overLimit(call.fn, admitted) });
    return new Promise((answer, reject) => {
      const open: OpenCall = {
        call,
        spec,
        request: this.request(call, spec, key),
        startedAtMs: this.parts.clock.monotonicMs(),
        answer,
        answered: false,
      };
      this.open.add(open);
      const run = key ? this.runKeyed(open) : this.runKeyless(open);
      run.then(answer, reject).finally(() => {
        this.open.delete(open);
        this.parts.admission.leave(tenantId, functionId);
        if (this.open.size === 0) for (const resolve of this.onIdle.splice(0)) resolve();
      });
    });
  }

  private request(call: InvokeCall, spec: SlotSpec, key: AcceptRequest['key']): AcceptRequest {
    const now = this.parts.clock.now();
    return {
      requestId: key ? this.parts.ids.keyed(key.slot) : this.parts.ids.next(),
      tenantId: call.fn.tenantId,
      functionId: call.fn.functionId,
      qualifier: call.qualifier ?? LATEST,
      mode: 'sync',
      priority: call.priority ?? call.fn.priority,
      payloadBytes: call.payload.length,
      key,
      source: call.source,
      nonce: this.parts.nonce(),
      claim: { owner: this.parts.owner, voidAt: voidAtOf(now, spec.timeoutSec) },
      now,
    };
  }

  private async runKeyless(open: OpenCall): Promise<SyncAnswer> {
    const end = await this.runSlot(open, 1);
    if (end.kind === 'busy') return this.refuse(open, 1);
    const result = await this.placed(end);
    const attempt = attemptEnd(open.spec, end, result, this.parts.clock.now());
    if (open.written) return this.completeOpened(open, attempt, end);
    const call = finish(open.request, attempt, this.parts.clock.now());
    await this.parts.store.record(call);
    return this.done(open, call.head, end);
  }

  private async runKeyed(open: OpenCall): Promise<SyncAnswer> {
    const decision = await this.parts.store.accept(open.request);
    switch (decision.kind) {
      case 'conflict':
        return { kind: 'refused', refusal: otherRequest() };
      case 'replayed':
        return { kind: 'done', head: decision.head, result: await this.resultOf(decision.head), replayed: true };
      case 'running':
        return this.waitFor(decision.head, open);
      case 'accepted': {
        open.request = { ...open.request, requestId: decision.head.requestId };
        const end = await this.runSlot(open, decision.head.attempt);
        if (end.kind === 'busy') return this.refuse(open, decision.head.attempt, true);
        return this.completeOpened(
          open,
          attemptEnd(open.spec, end, await this.placed(end), this.parts.clock.now()),
          end,
          decision.head.attempt,
        );
      }
    }
  }

  private async completeOpened(open: OpenCall, end: AttemptEnd, slotEnd: SlotEnd, attempt = 1): Promise<SyncAnswer> {
    // Had the early write been lost, completing finds nothing and says so; the caller is not told a false success.
    await open.written?.catch(() => {});
    const ref: ClaimRef = { requestId: open.request.requestId, attempt, nonce: open.request.nonce };
    const decision = await this.parts.store.complete(ref, end, this.policy(open));
    if (decision.kind !== 'stale') return this.done(open, decision.head, slotEnd);
    const head = await this.parts.store.get(open.call.fn.tenantId, ref.requestId);
    if (!head) throw new PlatformFault('The call ran, but its outcome could not be recorded; nothing is billed.');
    return TERMINAL.has(head.state)
      ? { kind: 'done', head, result: await this.resultOf(head), replayed: true }
      : { kind: 'running', requestId: ref.requestId };
  }

  private policy(open: OpenCall) {
    return { retry: open.call.fn.retry, jitter: this.parts.random.fraction(), now: this.parts.clock.now() };
  }

  private done(open: OpenCall, head: Head, end: SlotEnd): SyncAnswer {
    const last = head.attempts.at(-1);
    if (last) {
      const overheadMs = Math.max(0, this.parts.clock.monotonicMs() - open.startedAtMs - last.durationMs);
      const { tenantId, functionId, mode } = head;
      const { version, coldStart, durationMs, outcome, fault } = last;
      this.parts.measured({ tenantId, functionId, mode, version, coldStart, durationMs, outcome, fault, overheadMs });
    }
    this.parts.endings.announce(head);
    return { kind: 'done', head, result: end.kind === 'succeeded' ? end.result : undefined, replayed: false };
  }

  /** Only what had not started is tried again: a handler that may have run is the caller's to repeat. */
  private async runSlot(open: OpenCall, attempt: number): Promise<SlotEnd> {
    const { requestId } = open.request;
    for (let tries = 1; ; tries += 1) {
      const waited = this.parts.clock.monotonicMs() - open.startedAtMs;
      const end = await this.parts.invoker.run(open.spec, {
        requestId,
        attempt,
        payload: open.call.payload,
        triggerId: open.call.triggerId,
        slotWaitMs: Math.max(0, DEFAULTS.slotWaitMs - waited),
        onChunk: open.call.onChunk,
      });
      if (end.kind !== 'notStarted' || tries >= START_TRIES) return end;
    }
  }

  /** A refusal is never stored and uses up no key. */
  private async refuse(open: OpenCall, attempt: number, stored = open.written !== undefined): Promise<SyncAnswer> {
    await open.written?.catch(() => {});
    if (stored) await this.parts.store.withdraw({ requestId: open.request.requestId, attempt, nonce: open.request.nonce });
    return { kind: 'refused', refusal: this.draining ? draining() : invokerBusy() };
  }

  /** Another call runs under this key: its end is this one's answer. */
  private waitFor(head: Head, open: OpenCall): Promise<SyncAnswer> {
    return new Promise((resolve, reject) => {
      let cancelPoll = () => {};
      const end = (ended: Head) => {
        cancelPoll();
        stopWaiting();
        this.resultOf(ended).then((result) => resolve({ kind: 'done', head: ended, result, replayed: true }), reject);
      };
      const stopWaiting = this.parts.endings.wait(head.requestId, end);
      const poll = () => {
        cancelPoll = this.parts.clock.after(POLL_MS, () => {
          if (open.answered) return stopWaiting();
          this.parts.store.get(head.tenantId, head.requestId).then((now) => (now && TERMINAL.has(now.state) ? end(now) : poll()), poll);
        });
      };
      poll();
    });
  }

  private async resultOf(head: Head): Promise<string | undefined> {
    if (!head.result) return undefined;
    return head.result.kind === 'inline' ? head.result.json : this.parts.store.bytes(head.result);
  }

  private placed(end: SlotEnd): Stored | undefined | Promise<Stored> {
    if (end.kind !== 'succeeded') return undefined;
    return end.result.length <= SMALL_JSON_CHARS ? { kind: 'inline', json: end.result } : this.parts.store.place(end.result);
  }

  /** Writes long keyless calls early, so that they can be seen, and lets callers go who have waited long enough. */
  private sweep(): void {
    const now = this.parts.clock.monotonicMs();
    for (const open of this.open) {
      const age = now - open.startedAtMs;
      if (age < DEFAULTS.openRecordAfterMs) return; // in order of their start
      if (!open.request.key && !open.written) {
        open.written = this.parts.store.accept(open.request);
        open.written.catch(() => {});
      }
      if (age < (open.call.waitMs ?? DEFAULTS.syncWaitMs) || open.answered || open.call.onChunk) continue;
      open.answered = true;
      open.answer({ kind: 'running', requestId: open.request.requestId });
    }
  }
}
