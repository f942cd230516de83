import { rfc3339 } from '../../core/clock.js';
import type { Attempt, Head } from '../../core/invocations/model.js';
import { gbSecOfAttempts } from '../../core/metering/quantity.js';

const time = (epochMs: number | undefined): string | undefined => (epochMs === undefined ? undefined : rfc3339(epochMs));

const presentAttempt = ({ attempt, version, memoryMb, startedAt, durationMs, billedMs, coldStart, outcome, fault, error }: Attempt) => ({
  ...{ attempt, version, memoryMb, startedAt: rfc3339(startedAt), durationMs, billedMs, coldStart, outcome, fault, error },
});

/**
 * The invocation as the API tells it (SPEC 2, "Invocation"), as JSON text.
 * @param resultJson spliced in as it is: what the handler gave is neither parsed nor written again
 */
export function presentInvocation(head: Head, resultJson?: string): string {
  const { requestId, functionId, qualifier, mode, state, priority, source, error, replays, deadReason, attempts } = head;
  const told = JSON.stringify({
    ...{ requestId, functionId, version: attempts.at(-1)?.version ?? null, qualifier, mode, state, priority },
    acceptedAt: rfc3339(head.acceptedAt),
    completedAt: time(head.completedAt),
    attempts: attempts.map(presentAttempt),
    ...{ source, error },
    billedMs: attempts.reduce((sum, each) => sum + each.billedMs, 0),
    gbSec: gbSecOfAttempts(attempts),
    ...{ replays, deadReason, deadAt: time(head.deadAt) },
  });
  return resultJson === undefined ? told : `${told.slice(0, -1)},"result":${resultJson}}`;
}

/** Results that lie in the row itself; a larger one is told by GET /invocations/{requestId} alone, so that a page stays bounded. */
export const inlineResult = (head: Head): string | undefined => (head.result?.kind === 'inline' ? head.result.json : undefined);

export function presentDeadLetter(head: Head) {
  const { requestId, acceptedAt, replays, attempts } = head;
  return {
    requestId,
    reason: head.deadReason ?? 'unknown',
    attempts: attempts.length,
    lastError: attempts.findLast(({ error }) => error !== undefined)?.error ?? head.error,
    acceptedAt: rfc3339(acceptedAt),
    deadAt: rfc3339(head.deadAt ?? head.completedAt ?? acceptedAt),
    replays,
  };
}
