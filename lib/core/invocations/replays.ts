import { base32, type TenantId, timePrefix } from '../ids.js';
import type { Refusal } from '../refusal.js';
import type { Dispatcher } from './dispatcher.js';
import type { PathParts } from './parts.js';
import type { DeadLetterFilter, ReplayJob } from './port.js';
import { notDead } from './refusals.js';
import type { ReplayProgress } from './service.js';

type Filter = Omit<DeadLetterFilter, 'limit' | 'cursor'>;

/** Letters read at once. */
const PAGE = 100;
/** Without a rate: as fast as the store takes them. */
const UNLIMITED_PER_SEC = 2_000;

/**
 * Puts dead letters back, one, some or all. The job is durable before it is answered and goes on after a crash:
 * what it has put back is no dead letter any more, and what died again has died after the job began.
 */
export class Replays {
  private stopped = false;

  constructor(
    private readonly parts: PathParts,
    private readonly dispatcher: Dispatcher,
  ) {}

  async resume(): Promise<void> {
    for (const job of await this.parts.store.unfinishedReplays()) this.goOn(job);
  }

  stop(): void {
    this.stopped = true;
  }

  async start(filter: Filter, ratePerSec: number | undefined, actor: string): Promise<ReplayProgress> {
    const startedAt = this.parts.clock.now();
    const bounded = { ...filter, toMs: Math.min(filter.toMs ?? startedAt, startedAt) };
    const matched = await this.parts.store.countDeadLetters(bounded);
    const job: ReplayJob = { replayId: this.newId(startedAt), filter: bounded, ratePerSec, matched, startedAt, scanned: matched === 0 };
    await this.parts.store.saveReplay(job);
    await this.parts.audit.append({
      at: startedAt,
      tenantId: filter.tenantId,
      actor,
      action: 'deadletter.replay',
      target: filter.functionId,
      detail: { replayId: job.replayId, matched, ratePerSec },
    });
    this.goOn(job);
    return this.progressOf(job);
  }

  async one(tenantId: TenantId, requestId: string, actor: string): Promise<ReplayProgress | Refusal | undefined> {
    const head = await this.parts.store.get(tenantId, requestId as never);
    if (!head) return undefined;
    if (head.state !== 'DEAD') return notDead(head.state);
    return this.start({ tenantId, functionId: head.functionId, requestIds: [requestId] }, undefined, actor);
  }

  async progress(tenantId: TenantId, replayId: string): Promise<ReplayProgress | undefined> {
    const job = await this.parts.store.replayJob(tenantId, replayId);
    return job && this.progressOf(job);
  }

  private async progressOf(job: ReplayJob): Promise<ReplayProgress> {
    const tally = await this.parts.store.replayTally(job.replayId);
    const { replayId, matched, scanned } = job;
    return { replayId, matched, ...tally, done: scanned && tally.healed + tally.failed >= tally.replayed };
  }

  private goOn(job: ReplayJob): void {
    if (job.scanned) return;
    this.scan(job).catch(() => {
      // The store is away: the job is recorded there, and goes on.
      if (!this.stopped) this.parts.clock.after(1_000, () => this.goOn(job));
    });
  }

  /** Always the first page, since what was put back has left the list; a page that this replay can move nothing of is passed. */
  private async scan(job: ReplayJob): Promise<void> {
    const pauseMs = 1000 / Math.min(job.ratePerSec ?? UNLIMITED_PER_SEC, UNLIMITED_PER_SEC);
    let cursor: string | undefined;
    while (!this.stopped) {
      const page = await this.parts.store.deadLetters({ ...job.filter, limit: PAGE, cursor });
      let moved = 0;
      for (const letter of page.items) {
        if (this.stopped) return;
        const at = this.parts.clock.monotonicMs();
        const head = await this.parts.store.replay(
          letter.tenantId,
          letter.requestId,
          job.replayId,
          this.parts.clock.now(),
          this.parts.nonce(),
        );
        if (head) {
          moved += 1;
          this.dispatcher.offer(head);
        }
        const restMs = pauseMs - (this.parts.clock.monotonicMs() - at);
        if (restMs > 1) await new Promise<void>((resolve) => this.parts.clock.after(restMs, resolve));
      }
      cursor = moved > 0 ? undefined : page.nextCursor;
      if (page.items.length < PAGE || (moved === 0 && !cursor)) {
        await this.parts.store.saveReplay({ ...job, scanned: true });
        return;
      }
    }
  }

  private newId(now: number): string {
    return `rpl_${timePrefix(now)}${base32(this.parts.random.bytes(10), 16)}`;
  }
}
