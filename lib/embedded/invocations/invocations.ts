import { DEFAULTS } from '../../core/defaults.js';
import type { FunctionId, RequestId, TenantId } from '../../core/ids.js';
import type {
  AcceptRequest,
  AttemptEnd,
  ClaimRef,
  ClaimRequest,
  CompletionPolicy,
  DeadReason,
  Head,
  Stored,
} from '../../core/invocations/model.js';
import type {
  DeadLetterFilter,
  FinishedCall,
  InvocationFilter,
  InvocationStore,
  ReadyCount,
  ReadyEntry,
  ReplayJob,
} from '../../core/invocations/port.js';
import * as rules from '../../core/invocations/rules.js';
import { cursorKey, cursorOf, type Page } from '../../core/page.js';
import type { Database } from '../store/database.js';
import type { ExpiryPiece } from '../store/expiry.js';
import { Blobs } from './blobs.js';
import { invocationExpiry } from './expiry.js';
import { pack, packFinished, type Row, unpack } from './row.js';
import type { TakeOverInput } from './steps.js';

/** The port over SQLite: packs, sends, unpacks. What follows from what is decided by the rules, in the writer thread. */
export class EmbeddedInvocations implements InvocationStore {
  readonly #db: Database;
  readonly #blobs: Blobs;

  constructor(db: Database, blobs = new Blobs(db.dataDir)) {
    this.#db = db;
    this.#blobs = blobs;
  }

  /** For the job that removes what has grown too old. */
  expiry(): ExpiryPiece[] {
    return invocationExpiry(this.#db, this.#blobs);
  }

  async accept(request: AcceptRequest): Promise<rules.AcceptDecision> {
    this.#db.requireRoom();
    const fresh = rules.accept(undefined, request);
    const answer = await this.#db.write('invocations.accept', { fresh: pack(fresh.head), keyExpiresAt: request.key?.expiresAt });
    if (answer.kind === 'fresh') return fresh;
    const head = unpack(answer.row);
    return answer.kind === 'accepted' ? { kind: 'accepted', head, reopened: answer.reopened } : { kind: answer.kind, head };
  }

  async claim(requestId: RequestId, request: ClaimRequest): Promise<rules.ClaimDecision> {
    const answer = await this.#db.write('invocations.claim', { requestId, request });
    if (!('row' in answer)) return answer;
    const head = unpack(answer.row);
    return answer.kind === 'claimed' ? { kind: 'claimed', head, alone: answer.alone } : { kind: answer.kind, head };
  }

  async complete(ref: ClaimRef, end: AttemptEnd, policy: CompletionPolicy): Promise<rules.CompleteDecision> {
    const answer = await this.#db.write('invocations.complete', { ref, end, policy });
    return answer.kind === 'stale' ? answer : { kind: answer.kind, head: unpack(answer.row) };
  }

  release(ref: ClaimRef, now: number): Promise<boolean> {
    return this.#db.write('invocations.giveBack', { ref, readyAt: now, parked: false });
  }

  defer(ref: ClaimRef, until: number): Promise<boolean> {
    return this.#db.write('invocations.giveBack', { ref, readyAt: until, parked: false });
  }

  park(ref: ClaimRef, now: number): Promise<boolean> {
    return this.#db.write('invocations.giveBack', { ref, readyAt: now, parked: true });
  }

  withdraw(ref: ClaimRef): Promise<boolean> {
    return this.#db.write('invocations.withdraw', ref);
  }

  async bury(requestId: RequestId, reason: DeadReason, now: number, nonce: string): Promise<Head | undefined> {
    return headOf(await this.#db.write('invocations.bury', { requestId, reason, now, nonce }));
  }

  async replay(tenantId: TenantId, requestId: RequestId, replayId: string, now: number, nonce: string): Promise<Head | undefined> {
    return headOf(await this.#db.write('invocations.replay', { tenantId, requestId, replayId, now, nonce }));
  }

  saveReplay(job: ReplayJob): Promise<void> {
    return this.#db.write('invocations.saveReplay', job);
  }

  replayJob(tenantId: TenantId, replayId: string): Promise<ReplayJob | undefined> {
    return this.#db.read('invocations.replayJob', { tenantId, replayId });
  }

  unfinishedReplays(): Promise<ReplayJob[]> {
    return this.#db.read('invocations.unfinishedReplays', undefined);
  }

  replayTally(replayId: string): Promise<{ replayed: number; healed: number; failed: number }> {
    return this.#db.read('invocations.replayTally', replayId);
  }

  deposit(head: Head): Promise<boolean> {
    return this.#db.write('invocations.deposit', pack(head));
  }

  record(call: FinishedCall): Promise<void> {
    return this.#db.write('invocations.record', packFinished(call));
  }

  heartbeat(owner: string, now: number): Promise<void> {
    return this.#db.write('invocations.heartbeat', { owner, now });
  }

  async takeOver(request: TakeOverInput): Promise<Head[]> {
    return (await this.#db.write('invocations.takeOver', request)).map(unpack);
  }

  async get(tenantId: TenantId, requestId: RequestId): Promise<Head | undefined> {
    return headOf(await this.#db.read('invocations.get', { tenantId, requestId }));
  }

  async list({ cursor, ...filter }: InvocationFilter): Promise<Page<Head>> {
    const [before] = cursorKey(cursor, ['text'] as const) ?? [];
    const found = await this.#db.read('invocations.list', { ...filter, before });
    return page(found, filter.limit, (last) => cursorOf(last[0]));
  }

  async deadLetters({ cursor, ...filter }: DeadLetterFilter): Promise<Page<Head>> {
    const before = cursorKey(cursor, ['number', 'text'] as const);
    const found = await this.#db.read('invocations.deadLetters', { ...filter, before });
    return page(found, filter.limit, (last) => cursorOf(last[10]!, last[0]));
  }

  countDeadLetters(filter: Omit<DeadLetterFilter, 'limit' | 'cursor'>): Promise<number> {
    return this.#db.read('invocations.countDeadLetters', filter);
  }

  ready(query: {
    tenantId: TenantId;
    functionId: FunctionId;
    priority: Head['priority'];
    until: number;
    limit: number;
  }): Promise<ReadyEntry[]> {
    return this.#db.read('invocations.ready', query);
  }

  readyCounts(): Promise<ReadyCount[]> {
    return this.#db.read('invocations.readyCounts', undefined);
  }

  bytes(stored: Stored): Promise<string> {
    return stored.kind === 'inline' ? Promise.resolve(stored.json) : this.#blobs.get(stored.digest);
  }

  async place(json: string): Promise<Stored> {
    // A sign of UTF-16 is at most three bytes of UTF-8, so short texts need no counting.
    if (json.length * 3 <= DEFAULTS.rowPayloadBytes) return { kind: 'inline', json };
    const bytes = Buffer.from(json);
    if (bytes.length <= DEFAULTS.rowPayloadBytes) return { kind: 'inline', json };
    return { kind: 'blob', digest: await this.#blobs.put(bytes), bytes: bytes.length };
  }
}

const headOf = (row: Row | undefined): Head | undefined => row && unpack(row);

function page(found: Row[], limit: number, cursor: (last: Row) => string): Page<Head> {
  const items = found.slice(0, limit);
  return { items: items.map(unpack), nextCursor: found.length > limit ? cursor(items.at(-1)!) : undefined };
}
