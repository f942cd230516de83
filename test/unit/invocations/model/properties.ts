import { DEFAULTS } from '../../../../lib/core/defaults.js';
import type { Head } from '../../../../lib/core/invocations/model.js';
import { accept, isBillable, leaseIsVoid } from '../../../../lib/core/invocations/rules.js';
import type { Step } from './steps.js';
import { apply, isTerminal } from './store.js';
import { acceptRequest, type End, LEASE_MS, type Message, type World } from './world.js';

/** A property that does not hold, in words. */
export type Broken = string;

const successes = (head: Head): number => head.attempts.filter((a) => a.outcome === 'SUCCEEDED').length;

/** What must be true of any head at any time. */
export function* brokenInHead(head: Head): Generator<Broken> {
  const name = `${head.requestId} (${head.state})`;
  const terminal = isTerminal(head);
  if ((head.state === 'RUNNING') !== (head.lease !== undefined)) yield `${name}: RUNNING means leased, and nothing else is`;
  if (head.lease && head.lastNonce !== head.lease.nonce) yield `${name}: its lease was not the last write`;
  if (head.lease && head.lease.attempt !== head.attempt) yield `${name}: its lease is not for its last attempt`;
  if (head.parked && (terminal || head.lease)) yield `${name}: parked, though it is not waiting`;
  if (terminal !== (head.completedAt !== undefined)) yield `${name}: completedAt does not say whether it ended`;
  if ((head.state === 'DEAD') !== (head.deadReason !== undefined && head.deadAt !== undefined))
    yield `${name}: dead without a reason or time`;
  if (terminal && head.state !== 'SUCCEEDED' && !head.error) yield `${name}: it ended badly without an error`;
  if (head.mode === 'sync' && !terminal && head.state !== 'RUNNING') yield `${name}: a sync call waits for nobody`;
  const numbers = head.attempts.map((a) => a.attempt);
  if (numbers.some((n, i) => n !== i + 1)) yield `${name}: attempts are not numbered from 1 without a gap: ${numbers}`;
  if (head.attempt !== numbers.length + (head.lease ? 1 : 0)) yield `${name}: attempt ${head.attempt} of ${numbers}`;
  if (successes(head) > 1) yield `${name}: succeeded ${successes(head)} times`;
  if (successes(head) === 1 && head.state !== 'SUCCEEDED') yield `${name}: it succeeded once and is not SUCCEEDED`;
  const faults = head.chain.tenantFaults + head.chain.platformFaults + head.chain.deaths;
  if (faults > head.attempts.length) yield `${name}: its chain counts more faults than attempts`;
}

/** Usage is there once for each billable attempt recorded, and nothing else is. */
export function* brokenInLedger(world: World): Generator<Broken> {
  const billed = Object.values(world.heads).flatMap((head) =>
    head.attempts.filter(isBillable).map((a) => `${head.requestId}#${a.attempt}=${a.billedMs}`),
  );
  const usage = world.ledger.map((entry) => `${entry.requestId}#${entry.attempt}=${entry.billedMs}`);
  if ([...billed].sort().join() !== [...usage].sort().join()) yield `the ledger has ${usage}, the attempts ${billed}`;
  for (const id of new Set(world.ledger.map((entry) => entry.requestId))) {
    const firsts = world.ledger.filter((entry) => entry.requestId === id && entry.first).length;
    if (firsts !== 1) yield `${id} counts as ${firsts} requests`;
  }
}

const isReopenable = (head: Head): boolean => head.mode === 'sync' && head.state === 'FAILED' && head.attempts.at(-1)?.fault === 'platform';

/** What one step may do to one head. */
function* brokenInChange(before: World, { message, to }: Step, old: Head, next: Head | undefined): Generator<Broken> {
  const by = message?.kind ?? 'nothing';
  if (!message) yield `${old.requestId} changed without a write`;
  if (!next) {
    if (!(message?.kind === 'undo' && message.how === 'withdraw' && old.lease?.nonce === message.ref.nonce && old.attempts.length === 0)) {
      yield `${old.requestId} (${old.state}) is gone by ${by}`;
    }
    return;
  }
  if (isTerminal(old)) {
    const allowed = (by === 'replay' && old.state === 'DEAD') || (by === 'accept' && isReopenable(old));
    if (!allowed) yield `${old.requestId} had ended as ${old.state} and was changed by ${by}`;
  }
  if (message?.kind === 'complete' && old.lease?.nonce !== message.ref.nonce) yield `${old.requestId} was changed by a stale completion`;
  if (message?.kind === 'undo' && old.lease?.nonce !== message.ref.nonce) yield `${old.requestId} was changed by a stale undoing`;
  if (old.lease && next.lease && old.lease.nonce !== next.lease.nonce) yield `${old.requestId} was taken from its owner without a trace`;
  if (message?.kind === 'claim' && old.lease && !leaseIsVoid(old.lease, message.now, before.seenAt[old.lease.owner] ?? 0)) {
    yield `${old.requestId} was taken from an owner that lives`;
  }
  if (by === 'replay' && next.replayId === old.replayId) yield `${old.requestId} was put back twice by one replay`;
  if (next.attempts.length < old.attempts.length) yield `${old.requestId} forgot an attempt`;
  if (to.ledger.length < before.ledger.length) yield 'the ledger forgot an entry';
}

/** Writers know their own writes: what was applied changes nothing when it arrives again at once, and is answered the same. */
function* brokenRepeat(before: World, message: Message): Generator<Broken> {
  const first = apply(before, message);
  const gone = Object.keys(first.world.heads).length < Object.keys(before.heads).length;
  if (first.reply.kind === 'nothing' || message.kind === 'takeover' || gone) return;
  const again = apply(first.world, message);
  if (again.world.heads !== first.world.heads) yield `${message.kind} ${message.nonce} is applied twice`;
  if (again.reply.kind !== first.reply.kind)
    yield `${message.kind} ${message.nonce} is answered ${first.reply.kind}, then ${again.reply.kind}`;
}

/** What is said to one who asks under a key that is held. */
function* brokenReply(before: World, { message, reply }: Step): Generator<Broken> {
  if (message?.kind !== 'accept' || reply?.kind !== 'nothing' || !reply.head) return;
  const { head, why } = reply;
  const expected = head.digest !== message.request.key?.digest ? 'conflict' : isTerminal(head) ? 'replayed' : 'running';
  if (why !== expected || (why === 'replayed' && isReopenable(head)))
    yield `${message.nonce} is told ${why} of ${head.requestId} (${head.state})`;
  if ((head.keyExpiresAt ?? 0) <= message.request.now && head.requestId !== message.request.requestId)
    yield `${message.nonce} is told ${why} under a key whose day is over`;
  if (before.keyHolder !== head.requestId) yield `${message.nonce} is told of ${head.requestId}, which does not hold the key`;
}

export function* brokenInStep(before: World, step: Step): Generator<Broken> {
  const { to, message } = step;
  yield* brokenReply(before, step);
  if (message) yield* brokenRepeat(before, message);
  if (to.heads !== before.heads) {
    for (const [id, old] of Object.entries(before.heads)) if (to.heads[id] !== old) yield* brokenInChange(before, step, old, to.heads[id]);
    for (const head of Object.values(to.heads)) if (before.heads[head.requestId] !== head) yield* brokenInHead(head);
    yield* brokenInLedger(to);
    if (to.keyHolder !== undefined && !to.heads[to.keyHolder]) yield `the key points to ${to.keyHolder}, which is not there`;
    yield* successesUnderOneKey(to);
  } else if (to.ledger !== before.ledger) yield 'usage was added without an outcome';
}

/** One key, one success, as long as the key is valid: a second one may begin only after the first one's day. */
function* successesUnderOneKey(world: World): Generator<Broken> {
  const done = Object.values(world.heads).filter((head) => head.keySlot && head.state === 'SUCCEEDED');
  for (const one of done) {
    for (const other of done) {
      const overlap = one !== other && other.acceptedAt >= one.acceptedAt && other.acceptedAt < (one.keyExpiresAt ?? 0);
      if (overlap) yield `${one.requestId} and ${other.requestId} succeeded under one key`;
    }
  }
}

/** Who repeats the call after its end gets that answer, or a new run: never a wait for nobody. */
function* brokenAnswer(ended: Head, now: number): Generator<Broken> {
  if (ended.digest === undefined) return;
  const { kind } = accept(ended, acceptRequest({ id: 'repeat', mode: 'async', digest: ended.digest }, 'R', 'R.repeat', now));
  if (kind !== 'replayed' && kind !== 'accepted') yield `${ended.requestId} (${ended.state}) answers its repeat with ${kind}`;
}

/** What one who takes over does next, and how its handlers end from then on. `dies`: it never completes. */
export type Fate = End | 'dies';
export const FATES: readonly Fate[] = ['success', 'fails', 'late', 'lost', 'dies'];
const MANY_STEPS = 60;

/**
 * Everybody crashes here, all messages are lost, an hour passes less than any request's age limit; one new owner takes what
 * it finds. Every request must come to its end, whatever its handlers do.
 */
export function* brokenInRecovery(world: World, head: Head, fate: Fate): Generator<Broken> {
  let now = Math.max(world.now, head.readyAt) + LEASE_MS + DEFAULTS.ownerSilentMs;
  let at: World = { ...world, heads: { [head.requestId]: head }, keyHolder: head.requestId, runs: [], air: [], seenAt: { R: now } };
  for (let n = 0; n < MANY_STEPS; n += 1) {
    const current = at.heads[head.requestId] as Head;
    if (isTerminal(current)) {
      yield* brokenInHead(current);
      yield* brokenAnswer(current, now);
      return;
    }
    now = Math.max(now, current.readyAt);
    if (current.lease && current.lease.owner !== 'R') {
      at = apply(at, { kind: 'takeover', nonce: `R.take${n}`, requestId: head.requestId, gone: true, now }).world;
      continue;
    }
    const { world: claimed, reply } = apply(at, {
      kind: 'claim',
      nonce: `R${n}`,
      requestId: head.requestId,
      owner: 'R',
      now,
      voidAt: now + LEASE_MS,
    });
    at = claimed;
    if (reply.kind !== 'run') continue;
    if (fate === 'dies') {
      at = apply(at, { kind: 'takeover', nonce: `R.died${n}`, requestId: head.requestId, gone: true, now }).world;
      continue;
    }
    const ref = { requestId: head.requestId, attempt: reply.head.attempt, nonce: `R${n}` };
    at = apply(at, { kind: 'complete', nonce: ref.nonce, ref, end: fate, now }).world;
  }
  yield `${head.requestId} (${head.state}) does not end when every run ${fate}`;
}
