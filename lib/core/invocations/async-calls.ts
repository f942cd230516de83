import { DEFAULTS } from '../defaults.js';
import { LATEST } from '../functions/model.js';
import type { RequestId } from '../ids.js';
import { Refusal } from '../refusal.js';
import { SMALL_JSON_CHARS } from './attempts.js';
import type { Dispatcher } from './dispatcher.js';
import type { AcceptRequest, Stored } from './model.js';
import type { PathParts } from './parts.js';
import { backlogFull, bareKey, disabled, otherRequest } from './refusals.js';
import type { AsyncAnswer, InvokeCall } from './service.js';

/** Async calls: one durable conditional write records the request and is itself the outbox entry; then 202. */
export class AsyncCalls {
  constructor(
    private readonly parts: PathParts,
    private readonly dispatcher: Dispatcher,
  ) {}

  async invoke(call: InvokeCall): Promise<AsyncAnswer> {
    const { fn } = call;
    if (fn.state === 'DISABLED') return { kind: 'refused', refusal: disabled(fn) };
    const found = this.parts.deployments.spec(fn, call.qualifier ?? LATEST);
    const spec = found instanceof Promise ? await found : found;
    if (spec instanceof Refusal) return { kind: 'refused', refusal: spec };
    const full = this.backlogIsFull(call);
    if (full) return { kind: 'refused', refusal: full };
    const payload: Stored =
      call.payload.length <= SMALL_JSON_CHARS ? { kind: 'inline', json: call.payload } : await this.parts.store.place(call.payload);
    return this.accept(this.request(call, payload));
  }

  private async accept(request: AcceptRequest): Promise<AsyncAnswer> {
    const decision = await this.parts.store.accept(request);
    const { requestId } = decision.head;
    switch (decision.kind) {
      case 'conflict':
        return { kind: 'refused', refusal: otherRequest() };
      case 'replayed':
      case 'running':
        return { kind: 'accepted', requestId, replayed: true };
      case 'accepted':
        this.dispatcher.offer(decision.head);
        return { kind: 'accepted', requestId, replayed: false };
    }
  }

  private request(call: InvokeCall, payload: Stored): AcceptRequest {
    const { fn } = call;
    const qualifier = call.qualifier ?? LATEST;
    const now = this.parts.clock.now();
    const key = call.idempotencyKey === undefined ? undefined : this.key(call, bareKey(call.idempotencyKey), qualifier, now);
    const requestId: RequestId = key ? this.parts.ids.keyed(key.slot) : this.parts.ids.next();
    return {
      requestId,
      tenantId: fn.tenantId,
      functionId: fn.functionId,
      qualifier,
      mode: 'async',
      priority: call.priority ?? fn.priority,
      payload,
      payloadBytes: call.payload.length,
      key,
      source: call.source,
      nonce: this.parts.nonce(),
      now,
    };
  }

  private key(call: InvokeCall, key: string, qualifier: string, now: number) {
    const { tenantId, functionId } = call.fn;
    return {
      slot: this.parts.digest(tenantId, functionId, key),
      digest: this.parts.digest(call.repeats ?? call.payload, qualifier),
      expiresAt: now + DEFAULTS.keyTtlMs,
    };
  }

  private backlogIsFull(call: InvokeCall): Refusal | undefined {
    const quotas = this.parts.quotasOf(call.fn.tenantId);
    const backlog = this.dispatcher.backlog(call.fn.tenantId);
    if (backlog.count >= quotas.backlogItems) return backlogFull(`${quotas.backlogItems} calls`);
    if (backlog.bytes + call.payload.length > quotas.backlogBytes) return backlogFull(`${quotas.backlogBytes} bytes`);
    return undefined;
  }
}
