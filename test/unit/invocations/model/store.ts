import type { AttemptEnd, Head } from '../../../../lib/core/invocations/model.js';
import { TERMINAL } from '../../../../lib/core/invocations/model.js';
import * as rules from '../../../../lib/core/invocations/rules.js';
import type { LedgerEntry } from '../../../../lib/core/metering/model.js';
import { type End, type Message, OUTCOME_OF, RETRY, type World } from './world.js';

/** What the store answered, as far as an owner acts on it. */
export type Reply =
  /** The attempt is mine to run. */
  | { kind: 'run'; head: Head }
  /** Written, or known to have been written: my step is done. */
  | { kind: 'done'; head?: Head }
  /** Not mine, not now, or told by another's answer. */
  | { kind: 'nothing'; why?: string; head?: Head };

export interface Applied {
  world: World;
  reply: Reply;
}

export function attemptEnd(end: End, now: number): AttemptEnd {
  const owner = end === 'success' ? null : end === 'lost' ? ('platform' as const) : ('tenant' as const);
  return {
    attempt: {
      version: '$LATEST',
      codeSha256: 'c',
      memoryMb: 128,
      startedAt: now,
      durationMs: 10.5,
      coldStart: false,
      outcome: OUTCOME_OF[end],
      fault: owner,
      error: owner ? { type: 'E', message: 'e' } : undefined,
    },
    result: end === 'success' ? { kind: 'inline', json: '1' } : undefined,
  };
}

const put = (world: World, head: Head, usage?: LedgerEntry): World => {
  if (world.heads[head.requestId] === head) return world;
  return { ...world, heads: { ...world.heads, [head.requestId]: head }, ledger: usage ? [...world.ledger, usage] : world.ledger };
};

/** Applies one write as every adapter must: load the head, ask the rule, store its answer in one step. */
export function apply(world: World, message: Message): Applied {
  switch (message.kind) {
    case 'accept':
      return applyAccept(world, message);
    case 'claim':
      return applyClaim(world, message);
    case 'complete': {
      const policy = { retry: RETRY, jitter: 0.5, now: message.now };
      const decision = rules.complete(world.heads[message.ref.requestId], message.ref, attemptEnd(message.end, message.now), policy);
      if (decision.kind === 'stale') return { world, reply: { kind: 'nothing' } };
      const next = decision.kind === 'recorded' ? put(world, decision.head, decision.usage) : world;
      return { world: next, reply: { kind: 'done', head: decision.head } };
    }
    case 'undo':
      return applyUndo(world, message);
    case 'takeover': {
      const head = world.heads[message.requestId];
      const seenAt = message.gone ? 0 : (world.seenAt[head?.lease?.owner ?? ''] ?? 0);
      if (!head?.lease || !rules.leaseIsVoid(head.lease, message.now, seenAt)) return { world, reply: { kind: 'nothing' } };
      return { world: put(world, rules.takeover(head, message.now, message.nonce)), reply: { kind: 'done' } };
    }
    case 'replay': {
      const head = rules.replay(world.heads[message.requestId], message.replayId, message.now, message.nonce);
      return { world: head ? put(world, head) : world, reply: { kind: 'done', head } };
    }
    case 'bury': {
      const head = world.heads[message.requestId];
      return head
        ? { world: put(world, rules.bury(head, 'function_deleted', message.now, message.nonce)), reply: { kind: 'done' } }
        : { world, reply: { kind: 'nothing' } };
    }
  }
}

function applyAccept(world: World, { request, nonce }: Extract<Message, { kind: 'accept' }>): Applied {
  const heldId = request.key ? world.keyHolder : request.requestId;
  const decision = rules.accept(heldId === undefined ? undefined : world.heads[heldId], request);
  if (decision.kind !== 'accepted') return { world, reply: { kind: 'nothing', why: decision.kind, head: decision.head } };
  const { requestId } = decision.head;
  // A new head under an id that is there: this very request, stored before. An adapter's insert finds the id taken.
  if (!decision.reopened && requestId !== heldId && world.heads[requestId]) return { world, reply: { kind: 'done' } };
  const next = put(world, decision.head);
  const keyed = request.key && next.keyHolder !== decision.head.requestId ? { ...next, keyHolder: decision.head.requestId } : next;
  const mine = decision.head.lease?.nonce === nonce;
  return { world: keyed, reply: mine ? { kind: 'run', head: decision.head } : { kind: 'done', head: decision.head } };
}

function applyClaim(world: World, message: Extract<Message, { kind: 'claim' }>): Applied {
  const head = world.heads[message.requestId];
  const { owner, nonce, now, voidAt } = message;
  const decision = rules.claim(
    head,
    { owner, nonce, now, voidAt, maxAgeSec: RETRY.maxAgeSec },
    world.seenAt[head?.lease?.owner ?? ''] ?? 0,
  );
  switch (decision.kind) {
    case 'claimed':
      return { world: put(world, decision.head), reply: { kind: 'run', head: decision.head } };
    case 'freed':
    case 'buried':
      return { world: put(world, decision.head), reply: { kind: 'nothing' } };
    default:
      return { world, reply: { kind: 'nothing' } };
  }
}

function applyUndo(world: World, { ref, how, now }: Extract<Message, { kind: 'undo' }>): Applied {
  const head = world.heads[ref.requestId];
  if (how === 'withdraw') {
    const decision = rules.withdraw(head, ref);
    if (decision.kind === 'closed') return { world: put(world, decision.head), reply: { kind: 'done' } };
    if (decision.kind === 'stale') return { world, reply: { kind: 'nothing' } };
    const { [ref.requestId]: _gone, ...heads } = world.heads;
    const keyHolder = world.keyHolder === ref.requestId ? undefined : world.keyHolder;
    return { world: { ...world, heads, keyHolder }, reply: { kind: 'done' } };
  }
  const back = rules.giveBack(head, ref, { readyAt: how === 'defer' ? now + 1_000 : now, parked: how === 'park' });
  return back ? { world: put(world, back), reply: { kind: 'done' } } : { world, reply: { kind: 'nothing' } };
}

export const isTerminal = (head: Head): boolean => TERMINAL.has(head.state);
