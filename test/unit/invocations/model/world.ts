import { DEFAULTS } from '../../../../lib/core/defaults.js';
import { asFunctionId, asRequestId, asTenantId } from '../../../../lib/core/ids.js';
import type { AcceptRequest, ClaimRef, Head, Outcome } from '../../../../lib/core/invocations/model.js';
import type { LedgerEntry } from '../../../../lib/core/metering/model.js';

/** How a handler's run may end. `lost`: our fault. */
export const ENDS = ['success', 'fails', 'late', 'lost'] as const;
export type End = (typeof ENDS)[number];
export const OUTCOME_OF: Record<End, Outcome> = { success: 'SUCCEEDED', fails: 'FAILED', late: 'TIMED_OUT', lost: 'LOST' };

export type Undo = 'release' | 'defer' | 'park' | 'withdraw';

/** A write under way to the store: it may arrive at any time, or never; late, and again. */
export type Message =
  | { kind: 'accept'; nonce: string; request: AcceptRequest }
  | { kind: 'claim'; nonce: string; requestId: string; owner: string; now: number; voidAt: number }
  | { kind: 'complete'; nonce: string; ref: ClaimRef; end: End; now: number }
  | { kind: 'undo'; nonce: string; ref: ClaimRef; how: Undo; now: number }
  | { kind: 'takeover'; nonce: string; requestId: string; gone: boolean; now: number }
  | { kind: 'replay'; nonce: string; requestId: string; replayId: string; now: number }
  | { kind: 'bury'; nonce: string; requestId: string; now: number };

/** What an owner is doing about one request, in its memory only: gone with a crash. */
export interface Run {
  owner: string;
  nonce: string;
  phase: 'accepting' | 'claiming' | 'running' | 'completing' | 'undoing' | 'administering';
  ref?: ClaimRef;
}

export interface Owner {
  /** `A` or `B`; with the number of the boot it is the owner of leases. */
  name: string;
  boot: number;
  up: boolean;
  sent: number;
}

/** How often the things may still happen that would make the space endless. */
export interface Budget {
  accepts: number;
  claims: number;
  undos: number;
  crashes: number;
  jumps: number;
  backJumps: number;
  /** Writes that were applied and whose answer never came. */
  losses: number;
  /** Arrivals of a write whose asker is gone or answered: late, or repeated. */
  repeats: number;
  replays: number;
  buries: number;
}

/** The whole of a small FNS: store, two owners, what is in the air, the clock. Never changed in place. */
export interface World {
  now: number;
  heads: Readonly<Record<string, Head>>;
  /** Who holds the one key. */
  keyHolder?: string;
  ledger: readonly LedgerEntry[];
  /** Last heartbeat of each owner's boot. */
  seenAt: Readonly<Record<string, number>>;
  owners: readonly Owner[];
  runs: readonly Run[];
  air: readonly Message[];
  budget: Budget;
}

/** What a client may ask, once each. */
export interface Ask {
  id: string;
  mode: 'sync' | 'async';
  /** Absent: without a key. */
  digest?: string;
}

export const START_AT = 1_000_000_000;
export const RETRY = { maxRetries: 1, baseDelayMs: 2_000, maxAgeSec: 3_600 };
export const LEASE_MS = 40_000;

export const ownerId = (owner: Owner): string => `${owner.name}${owner.boot}`;

export function newWorld(budget: Budget): World {
  const owners = ['A', 'B'].map((name) => ({ name, boot: 1, up: true, sent: 0 }));
  return {
    now: START_AT,
    heads: {},
    ledger: [],
    seenAt: Object.fromEntries(owners.map((owner) => [ownerId(owner), START_AT])),
    owners,
    runs: [],
    air: [],
    budget,
  };
}

export function acceptRequest(ask: Ask, owner: string, nonce: string, now: number): AcceptRequest {
  return {
    requestId: asRequestId(ask.id),
    tenantId: asTenantId('t'),
    functionId: asFunctionId('f'),
    qualifier: '$LATEST',
    mode: ask.mode,
    priority: 'normal',
    payload: ask.mode === 'async' ? { kind: 'inline', json: '1' } : undefined,
    payloadBytes: 1,
    key: ask.digest ? { slot: 'K', digest: ask.digest, expiresAt: now + DEFAULTS.keyTtlMs } : undefined,
    nonce,
    claim: ask.mode === 'sync' ? { owner, voidAt: now + LEASE_MS } : undefined,
    now,
  };
}

const ahead = (at: number | undefined, now: number): number | '' => (at === undefined ? '' : Math.max(0, at - now));
const behind = (at: number, now: number, enoughMs: number): number => Math.min(now - at, enoughMs);

function headKey(head: Head, now: number): string {
  const { lease, chain } = head;
  return [
    head.requestId,
    head.mode,
    head.state,
    head.attempt,
    lease ? `${lease.owner}/${lease.nonce}/${lease.attempt}/${ahead(lease.voidAt, now)}` : '',
    head.parked,
    ahead(head.readyAt, now),
    head.attempts.map((a) => `${a.attempt}${a.outcome}${a.fault}${a.billedMs}`),
    chain.tenantFaults,
    chain.platformFaults,
    chain.deaths,
    behind(chain.startedAt, now, RETRY.maxAgeSec * 1000 + 1),
    head.replays,
    head.replayId,
    head.deadReason,
    head.lastNonce,
    ahead(head.keyExpiresAt, now),
    head.error?.type,
  ].join();
}

function messageKey(message: Message, now: number): string {
  const at = message.kind === 'accept' ? message.request.now : message.now;
  const what = message.kind === 'complete' ? message.end : message.kind === 'undo' ? message.how : '';
  return `${message.kind}${message.nonce}${what}@${now - at}`;
}

/** Worlds with the same key behave the same from here on: times count only by their distance from now, as far as a rule can tell. */
export function keyOf(world: World): string {
  const { now, budget } = world;
  return [
    Object.values(world.heads).map((head) => headKey(head, now)),
    world.keyHolder,
    world.owners.map((o) => `${o.name}${o.boot}${o.up}${o.sent}`),
    Object.entries(world.seenAt).map(([id, at]) => `${id}:${behind(at, now, DEFAULTS.ownerSilentMs)}`),
    world.runs.map((run) => `${run.nonce}${run.phase}${run.ref?.attempt}`).sort(),
    world.air.map((message) => messageKey(message, now)).sort(),
    Object.values(budget),
  ].join('|');
}
