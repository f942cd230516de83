import fc from 'fast-check';
import { asFunctionId, asRequestId, asTenantId } from '../../../lib/core/ids.js';
import { finish } from '../../../lib/core/invocations/finish.js';
import type { AcceptRequest, AttemptEnd } from '../../../lib/core/invocations/model.js';
import { accept, complete } from '../../../lib/core/invocations/rules.js';

const request: AcceptRequest = {
  requestId: asRequestId('req_1'),
  tenantId: asTenantId('default'),
  functionId: asFunctionId('fn_a'),
  qualifier: '$LATEST',
  mode: 'sync',
  priority: 'normal',
  payloadBytes: 12,
  nonce: 'me.1',
  claim: { owner: 'me', voidAt: 99_000 },
  now: 1_000,
};

const ends = fc.record({
  outcome: fc.constantFrom('SUCCEEDED', 'FAILED', 'TIMED_OUT', 'LOST'),
  fault: fc.constantFrom('tenant', 'platform', null),
  durationMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 900_000, noNaN: true })),
  coldStart: fc.boolean(),
  error: fc.option(fc.constant({ type: 'Error', message: 'x' }), { nil: undefined }),
});

describe('a sync call without a key', () => {
  it('is finished in one step exactly as by accepting and completing it', () => {
    fc.assert(
      fc.property(ends, (drawn) => {
        const end = {
          attempt: { version: '$LATEST', codeSha256: 'abc', memoryMb: 128, startedAt: 1_001, ...drawn },
          result: drawn.outcome === 'SUCCEEDED' ? { kind: 'inline', json: '1' } : undefined,
        } as AttemptEnd;
        const accepted = accept(undefined, request).head;
        const ref = { requestId: accepted.requestId, attempt: 1, nonce: request.nonce };
        const policy = { retry: { maxRetries: 5, baseDelayMs: 1, maxAgeSec: 1 }, jitter: 0, now: 2_000 };
        const stepwise = complete(accepted, ref, end, policy);
        const { head, usage } = finish(request, end, 2_000);
        expect({ head, usage }).toEqual(stepwise.kind === 'recorded' && { head: stepwise.head, usage: stepwise.usage });
      }),
    );
  });
});
