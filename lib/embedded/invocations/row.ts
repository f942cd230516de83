import { DEFAULTS } from '../../core/defaults.js';
import type { Priority } from '../../core/functions/model.js';
import { PRIORITIES } from '../../core/functions/model.js';
import type { FunctionId, RequestId, TenantId } from '../../core/ids.js';
import { type Attempt, type Chain, type Head, type Outcome, STATES, type State, type Stored } from '../../core/invocations/model.js';
import type { FinishedCall } from '../../core/invocations/port.js';

/**
 * A head as one row of the table `invocations`: a flat array, because it crosses threads with every step, and an
 * array of texts and numbers costs a third of the same in nested objects (measured: 1.2 us against 5.5 us a call,
 * both ways of JSON lie between).
 */
export type Row = [
  requestId: string,
  tenantId: string,
  functionId: string,
  /** Index in STATES. */
  state: number,
  /** Index in PRIORITIES. */
  priority: number,
  acceptedAt: number,
  payloadBytes: number,
  /** Set while it waits for a claim: the ready index holds these rows only. */
  readyAt: number | null,
  leaseOwner: string | null,
  voidAt: number | null,
  deadAt: number | null,
  deadReason: string | null,
  errorType: string | null,
  replayId: string | null,
  keySlot: string | null,
  /** Digests of large payload and result, parted by a blank. */
  blobs: string | null,
  payload: string | null,
  result: string | null,
  /** JSON of everything else. */
  body: string,
];

export const COLUMNS = [
  'request_id',
  'tenant_id',
  'function_id',
  'state',
  'priority',
  'accepted_at',
  'payload_bytes',
  'ready_at',
  'lease_owner',
  'void_at',
  'dead_at',
  'dead_reason',
  'error_type',
  'replay_id',
  'key_slot',
  'blobs',
  'payload',
  'result',
  'body',
] as const;

type Blob = Extract<Stored, { kind: 'blob' }>;
const OUTCOMES: readonly Outcome[] = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'LOST'];
const FAULTS = [null, 'tenant', 'platform'] as const;

type PackedAttempt = [
  attempt: number,
  version: string,
  codeSha256: string,
  memoryMb: number,
  startedAt: number,
  durationMs: number,
  billedMs: number,
  coldStart: 0 | 1,
  outcome: number,
  fault: number,
  error?: Attempt['error'],
];

/** What the columns do not say, in order; what is rare stands in `more` by its name. */
type Body = [
  qualifier: string,
  sync: 0 | 1,
  readyAt: number,
  completedAt: number,
  attempt: number,
  lastNonce: string,
  attempts: PackedAttempt[],
  /** 0: begun at acceptance, nothing failed yet. */
  chain: 0 | [startedAt: number, tenantFaults: number, platformFaults: number, deaths: number],
  more: More,
];

interface More {
  parked?: true;
  replays?: number;
  lease?: Head['lease'];
  source?: Head['source'];
  digest?: string;
  keyExpiresAt?: number;
  payload?: Blob;
  result?: Blob;
  /** `last`: that of the last attempt. */
  error?: Head['error'] | 'last';
}

const WAITS: ReadonlySet<State> = new Set<State>(['ACCEPTED', 'RETRYING']);

export function pack(head: Head): Row {
  const { payload, result, lease } = head;
  const waits = WAITS.has(head.state) && !lease;
  const dead = head.state === 'DEAD';
  return [
    head.requestId,
    head.tenantId,
    head.functionId,
    STATES.indexOf(head.state),
    PRIORITIES.indexOf(head.priority),
    head.acceptedAt,
    head.payloadBytes,
    waits ? head.readyAt : null,
    lease?.owner ?? null,
    lease?.voidAt ?? null,
    head.deadAt ?? null,
    head.deadReason ?? null,
    dead ? (head.error?.type ?? null) : null,
    head.replayId ?? null,
    head.keySlot ?? null,
    blobsOf(payload, result),
    payload?.kind === 'inline' ? payload.json : null,
    result?.kind === 'inline' ? result.json : null,
    bodyOf(head),
  ];
}

/**
 * A finished keyless call as it crosses to the writer, the busiest message of all: what its row needs, and what its
 * ledger entry adds. It never waits, is leased, dead or replayed, so those columns are not sent.
 */
export type FinishedRow = [
  requestId: string,
  tenantId: string,
  functionId: string,
  state: number,
  priority: number,
  acceptedAt: number,
  payloadBytes: number,
  blobs: string | null,
  result: string | null,
  body: string,
  version: string,
  memoryMb: number,
  /** 0: nothing is billed. */
  billedMs: number,
  endedAt: number,
];

export function packFinished({ head, usage }: FinishedCall): FinishedRow {
  const { result } = head;
  return [
    head.requestId,
    head.tenantId,
    head.functionId,
    STATES.indexOf(head.state),
    PRIORITIES.indexOf(head.priority),
    head.acceptedAt,
    head.payloadBytes,
    blobsOf(undefined, result),
    result?.kind === 'inline' ? result.json : null,
    bodyOf(head),
    usage?.version ?? '',
    usage?.memoryMb ?? 0,
    usage?.billedMs ?? 0,
    usage?.endedAt ?? 0,
  ];
}

function blobsOf(payload: Stored | undefined, result: Stored | undefined): string | null {
  if (payload?.kind !== 'blob' && result?.kind !== 'blob') return null;
  return [payload, result].flatMap((stored) => (stored?.kind === 'blob' ? [stored.digest] : [])).join(' ');
}

function bodyOf(head: Head): string {
  const { chain } = head;
  const untouched = chain.startedAt === head.acceptedAt && chain.tenantFaults + chain.platformFaults + chain.deaths === 0;
  const body: Body = [
    head.qualifier,
    head.mode === 'sync' ? 1 : 0,
    head.readyAt,
    head.completedAt ?? 0,
    head.attempt,
    head.lastNonce,
    head.attempts.map(packAttempt),
    untouched ? 0 : [chain.startedAt, chain.tenantFaults, chain.platformFaults, chain.deaths],
    moreOf(head),
  ];
  return JSON.stringify(body);
}

const packAttempt = (a: Attempt): PackedAttempt => {
  const packed: PackedAttempt = [
    a.attempt,
    a.version,
    a.codeSha256,
    a.memoryMb,
    a.startedAt,
    a.durationMs,
    a.billedMs,
    a.coldStart ? 1 : 0,
    OUTCOMES.indexOf(a.outcome),
    FAULTS.indexOf(a.fault),
  ];
  if (a.error) packed.push(a.error);
  return packed;
};

function moreOf(head: Head): More {
  const more: More = {};
  if (head.parked) more.parked = true;
  if (head.replays > 0) more.replays = head.replays;
  if (head.lease) more.lease = head.lease;
  if (head.source) more.source = head.source;
  if (head.digest !== undefined) more.digest = head.digest;
  if (head.keyExpiresAt !== undefined) more.keyExpiresAt = head.keyExpiresAt;
  if (head.payload?.kind === 'blob') more.payload = head.payload;
  if (head.result?.kind === 'blob') more.result = head.result;
  if (head.error) more.error = head.error === head.attempts.at(-1)?.error ? 'last' : head.error;
  return more;
}

export function unpack(row: Row): Head {
  const [qualifier, sync, readyAt, completedAt, attempt, lastNonce, packed, chain, more] = JSON.parse(row[18]) as Body;
  const attempts = packed.map(unpackAttempt);
  return {
    requestId: row[0] as RequestId,
    tenantId: row[1] as TenantId,
    functionId: row[2] as FunctionId,
    qualifier,
    mode: sync === 1 ? 'sync' : 'async',
    priority: PRIORITIES[row[4]] as Priority,
    state: STATES[row[3]] as State,
    acceptedAt: row[5],
    readyAt,
    parked: more.parked ?? false,
    completedAt: completedAt === 0 ? undefined : completedAt,
    attempt,
    lease: more.lease,
    lastNonce,
    attempts,
    chain: chainOf(chain, row[5]),
    replays: more.replays ?? 0,
    replayId: row[13] ?? undefined,
    deadReason: (row[11] ?? undefined) as Head['deadReason'],
    deadAt: row[10] ?? undefined,
    source: more.source,
    keySlot: row[14] ?? undefined,
    digest: more.digest,
    keyExpiresAt: more.keyExpiresAt,
    payload: more.payload ?? inline(row[16]),
    payloadBytes: row[6],
    result: more.result ?? inline(row[17]),
    error: more.error === 'last' ? attempts.at(-1)?.error : more.error,
  };
}

const inline = (json: string | null): Stored | undefined => (json === null || json === '' ? undefined : { kind: 'inline', json });

const chainOf = (packed: Body[7], acceptedAt: number): Chain =>
  packed === 0
    ? { startedAt: acceptedAt, tenantFaults: 0, platformFaults: 0, deaths: 0 }
    : { startedAt: packed[0], tenantFaults: packed[1], platformFaults: packed[2], deaths: packed[3] };

const unpackAttempt = (packed: PackedAttempt): Attempt => ({
  attempt: packed[0],
  version: packed[1],
  codeSha256: packed[2],
  memoryMb: packed[3],
  startedAt: packed[4],
  durationMs: packed[5],
  billedMs: packed[6],
  coldStart: packed[7] === 1,
  outcome: OUTCOMES[packed[8]] as Outcome,
  fault: FAULTS[packed[9]] ?? null,
  error: packed[10],
});

export const qualifierOf = (row: Row): string => (JSON.parse(row[18]) as Body)[0];

/** Owners died while they ran it: nothing may run beside it. */
export function aloneOf(row: Row): boolean {
  const chain = (JSON.parse(row[18]) as Body)[7];
  return chain !== 0 && chain[3] >= DEFAULTS.deathsUntilAlone;
}
