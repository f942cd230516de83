import type { Concern } from '../store/concern.js';
import { expirySteps } from './expiry-steps.js';
import { queries } from './queries.js';
import { schema } from './schema.js';
import { steps } from './steps.js';

export const invocationTables = {
  schema,
  steps: { ...steps, ...expirySteps },
  queries,
  // Known by nonce, by request id, or by what they find already done.
  repeatable: [
    'invocations.record',
    'invocations.accept',
    'invocations.claim',
    'invocations.complete',
    'invocations.giveBack',
    'invocations.heartbeat',
    'invocations.saveReplay',
  ],
} satisfies Concern;
