import type { RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Refusal } from '../core/refusal.js';
import { api, newRequestId } from './app.js';
import { problemAnswer, refusalOf } from './problem.js';
import type { Services } from './services.js';

/** The control plane for node:http. What cannot even be made a Request of (an odd target or host) is a problem too. */
export function controlPlaneListener(services: Services): RequestListener {
  const errorHandler = (error: unknown): Response => {
    const isRequestFault = error instanceof Error && error.name === 'RequestError';
    const requestId = newRequestId(services);
    if (!isRequestFault) services.onFault(error, { requestId, method: '', path: '' });
    const refusal = isRequestFault
      ? new Refusal(400, 'FNS_400_BAD_REQUEST', 'The request’s target or its Host header cannot be read.')
      : refusalOf(error);
    const { status, headers, body } = problemAnswer(refusal, requestId);
    return new Response(body, { status, headers });
  };
  return getRequestListener(api(services).fetch, { overrideGlobalObjects: false, errorHandler });
}
