import type { ErrorInfo, Head } from '../../core/invocations/model.js';

/** SUCCEEDED, FAILED or TIMED_OUT: a sync caller knows no DEAD, which an async call under the same key may be. */
const statusOf = (head: Head): string => (head.state === 'DEAD' ? 'FAILED' : head.state);

/** The answer to `?mode=sync` (SPEC 2), with the result's JSON spliced in unchanged. */
export function syncBody(head: Head, result: string | undefined): string {
  const last = head.attempts.at(-1);
  let billedMs = 0;
  for (const attempt of head.attempts) billedMs += attempt.billedMs;
  const status = statusOf(head);
  const told = status === 'SUCCEEDED' ? `"result":${result ?? 'null'}` : `"error":${JSON.stringify(shown(head.error))}`;
  return `{"requestId":"${head.requestId}","status":"${status}",${told},"durationMs":${last?.durationMs ?? 0},"billedMs":${billedMs},"coldStart":${last?.coldStart ?? false},"version":"${last?.version || head.qualifier}"}`;
}

export const failed = (head: Head): boolean => head.state !== 'SUCCEEDED';

const shown = (error: ErrorInfo | undefined): ErrorInfo => error ?? { type: 'Unknown', message: 'It ended without an error of its own.' };
