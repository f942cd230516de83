import { DEFAULTS } from '../defaults.js';
import type { FunctionRecord } from '../functions/model.js';
import { base32, timePrefix } from '../ids.js';
import type { Head } from '../invocations/model.js';
import { backoffMs } from '../invocations/retry.js';
import type { Refusal } from '../refusal.js';
import { batchEvent, deadInvocation, deadMessageId, givenUp, oneRecordEvent, type Settlement, settlement } from './batch.js';
import type { Shared } from './consumer-parts.js';
import type { QueueTrigger } from './model.js';
import type { Batch } from './port.js';

/** How often a paused trigger looks whether its function is back: it is told, too, so this is for the case that nobody tells. */
const PAUSED_LOOK_MS = 5_000;
const REFUSED_BASE_MS = 250;
const REFUSED_MAX_EXPONENT = 6;
const STORE_RETRY_MS = 1_000;
const STILL_RUNNING_LOOK_MS = 1_000;

/**
 * Hands the messages of one queue to one function, in batches. Crash safety, step by step:
 * 1. `take` makes the batch and hides its messages in one write. A crash after it: the batch is found by `open` at the next start.
 * 2. The batch runs as one synchronous invocation under its own id as idempotency key, so it is never retried by the function's
 *    policy as a whole. However often it is asked for, it runs to one recorded end, billed once; one that died with the platform
 *    is run again under the same key.
 * 3. What stays bad is deposited as dead invocations, whose ids come from the messages: a repeat stores nothing.
 * 4. `settle` ends the batch in one write and does nothing the second time. A crash between 2 and 4 asks for the recorded end
 *    again and comes to the same settlement, but for the jitter of its retries.
 * A batch is given back (`release`) only while nothing of it can have run.
 */
export class QueueConsumer {
  private readonly running = new Map<string, Promise<void>>();
  private started = false;
  private pumping = false;
  private again = false;
  private cancelTimer = () => {};
  /** Batches at once: grows by one with each that ran, halves when the platform is full, so that a queue leaves room for callers. */
  private allowed: number;
  private refusals = 0;
  private pausedUntil = 0;
  private recovered: Promise<void> | undefined;

  constructor(
    readonly trigger: QueueTrigger,
    private readonly queue: string,
    private readonly parts: Shared,
  ) {
    this.allowed = trigger.maxConcurrency;
  }

  serves(tenantId: string, queue: string): boolean {
    return this.trigger.tenantId === tenantId && this.queue === queue;
  }

  start(): void {
    this.started = true;
    this.wake();
  }

  async stop(): Promise<void> {
    this.started = false;
    this.cancelTimer();
    await Promise.all(this.running.values());
  }

  /** Looks for messages now; safe to call at any time. */
  wake(): void {
    if (!this.started) return;
    if (this.pumping) {
      this.again = true;
      return;
    }
    this.pumping = true;
    this.cancelTimer();
    this.pump()
      .catch(() => this.parts.clock.now() + STORE_RETRY_MS)
      .then((lookAt) => {
        this.pumping = false;
        if (this.again) {
          this.again = false;
          this.wake();
        } else if (lookAt !== undefined) this.wakeAt(lookAt);
      });
  }

  private wakeAt(at: number): void {
    if (!this.started) return;
    this.cancelTimer();
    // The wall clock may be set back while we wait, so not longer than the look of a paused one.
    const waitMs = Math.min(Math.max(1, at - this.parts.clock.now()), PAUSED_LOOK_MS);
    this.cancelTimer = this.parts.clock.after(waitMs, () => this.wake());
  }

  /** Starts batches as long as there are messages and room; when to look again, if not at the end of a batch. */
  private async pump(): Promise<number | undefined> {
    this.recovered ??= this.recover();
    await this.recovered.catch((cause) => {
      this.recovered = undefined;
      throw cause;
    });
    while (this.started && this.running.size < this.allowed) {
      const now = this.parts.clock.now();
      if (this.pausedUntil > now) return this.pausedUntil;
      const fn = await this.parts.findFunction(this.trigger.tenantId, this.trigger.functionId);
      if (fn?.state !== 'ENABLED') return now + PAUSED_LOOK_MS;
      const taken = await this.take(now);
      if (taken.kind === 'nothing') return taken.until;
      if (this.started) this.run(taken.batch, false);
      // Stopped meanwhile: nobody here will deliver it.
      else await this.parts.store.release(taken.batch.batchId, now);
    }
    return undefined;
  }

  private take(now: number) {
    const { tenantId, triggerId, qualifier, batchSize, batchWindowMs } = this.trigger;
    const batchId = `bat_${timePrefix(now)}${base32(this.parts.random.bytes(10), 16)}`;
    const maxBytes = DEFAULTS.queueBatchBytes;
    return this.parts.store.take({ tenantId, queue: this.queue, triggerId, qualifier, batchId, batchSize, batchWindowMs, maxBytes, now });
  }

  /** Batches of a process that ended before it had settled them, also those of a trigger that had the queue before. */
  private async recover(): Promise<void> {
    for (const batch of await this.parts.store.open(this.trigger.tenantId, this.queue)) {
      if (this.parts.delivering.has(batch.batchId)) continue;
      if (batch.triggerId === this.trigger.triggerId) this.run(batch, true);
      else await this.parts.store.release(batch.batchId, this.parts.clock.now());
    }
  }

  private run(batch: Batch, mayHaveRun: boolean): void {
    const { delivering, wake } = this.parts;
    delivering.add(batch.batchId);
    const ended = this.deliver(batch, mayHaveRun).finally(() => {
      this.running.delete(batch.batchId);
      delivering.delete(batch.batchId);
      wake(batch.tenantId, batch.queue);
    });
    this.running.set(batch.batchId, ended);
  }

  /** Asks for the batch until it has an end. Never rejects: after a stop an unsettled batch waits for the next start. */
  private async deliver(batch: Batch, mayHaveRun: boolean): Promise<void> {
    let uncertain = mayHaveRun;
    for (let tries = 0; ; tries += 1) {
      const { tenantId, functionId } = this.trigger;
      try {
        const fn = await this.parts.findFunction(tenantId, functionId);
        if (!fn && !uncertain) return void (await this.parts.store.release(batch.batchId, this.parts.clock.now()));
        if (fn) {
          const done = await this.ask(batch, fn, uncertain);
          if (done) return;
          uncertain = true;
        }
      } catch {
        // The store was lost on the way: it may have run.
        uncertain = true;
      }
      if (!this.started) return;
      await this.sleep(backoffMs(STORE_RETRY_MS, Math.min(tries, 5), this.parts.random.fraction()));
      if (!this.started) return;
    }
  }

  /** True: settled or given back. */
  private async ask(batch: Batch, fn: FunctionRecord, uncertain: boolean): Promise<boolean> {
    const answer = await this.parts.invocations.invokeSync({
      fn,
      qualifier: batch.qualifier,
      payload: batchEvent(batch, this.parts.originOf(this.trigger)),
      idempotencyKey: batch.batchId,
      waitMs: Number.POSITIVE_INFINITY,
      source: { type: 'queue', triggerId: batch.triggerId, queue: batch.queue },
      triggerId: batch.triggerId,
    });
    switch (answer.kind) {
      case 'refused':
        return this.refused(batch, answer.refusal, uncertain);
      case 'running':
        await this.sleep(STILL_RUNNING_LOOK_MS);
        return false;
      case 'done':
        return this.ended(batch, fn, answer.head, answer.result);
    }
  }

  /** Refused means that nothing ran now. Whether it ran before, only the certain ones know: those go back to the queue. */
  private async refused(batch: Batch, refusal: Refusal, uncertain: boolean): Promise<boolean> {
    const now = this.parts.clock.now();
    this.refusals += 1;
    const wait = backoffMs(REFUSED_BASE_MS, Math.min(this.refusals, REFUSED_MAX_EXPONENT), this.parts.random.fraction());
    this.pausedUntil = now + Math.max(wait, refusal.status === 409 ? STORE_RETRY_MS : 0);
    this.allowed = Math.max(1, Math.floor(this.allowed / 2));
    this.parts.noted(this.trigger, { at: now, state: 'REFUSED', code: refusal.code });
    // Its bytes are not those of before (an upgrade, a changed qualifier): under this key it can never run again.
    if (uncertain && refusal.code !== 'FNS_409_DUP_REQ') return false;
    await this.parts.store.release(batch.batchId, now);
    return true;
  }

  private async ended(batch: Batch, fn: FunctionRecord, head: Head, result: string | undefined): Promise<boolean> {
    const now = this.parts.clock.now();
    this.refusals = 0;
    this.allowed = Math.min(this.trigger.maxConcurrency, this.allowed + 1);
    const isOurFault = head.state === 'FAILED' && head.attempts.at(-1)?.fault === 'platform';
    if (isOurFault && (await this.parts.store.faulted(batch.batchId)) < DEFAULTS.platformFaultBudget) return false;
    const settled = isOurFault
      ? givenUp(batch, head.error ?? { type: 'Platform.Fault', message: 'The platform could not run the batch.' }, now)
      : settlement(batch, head, result, fn.retry, now, () => this.parts.random.fraction());
    await this.bury(batch, fn, settled, now);
    await this.parts.store.settle(batch.batchId, settled.ends, now);
    const failed = isOurFault || settled.ends.some(({ kind }) => kind === 'again') || settled.dead.length > 0;
    this.parts.noted(this.trigger, {
      at: now,
      state: failed && head.state === 'SUCCEEDED' ? 'FAILED' : head.state,
      requestId: head.requestId,
    });
    return true;
  }

  private async bury(batch: Batch, fn: FunctionRecord, { dead }: Settlement, now: number): Promise<void> {
    const origin = this.parts.originOf(this.trigger);
    for (const each of dead) {
      const json = oneRecordEvent(batch, each.message, origin);
      const payload = await this.parts.letters.place(json);
      const requestId = deadMessageId(batch, each.message, this.parts.digest);
      const { functionId, priority } = fn;
      await this.parts.letters.deposit(
        deadInvocation(batch, each, { requestId, functionId, priority, payload, payloadBytes: json.length, now }),
      );
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.parts.clock.after(ms, resolve));
  }
}
