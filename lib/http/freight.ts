import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.js';
import { DEFAULTS } from '../core/defaults.js';
import type { TenantId } from '../core/ids.js';
import { Refusal } from '../core/refusal.js';

export interface FreightLimits {
  bytes: number;
  tenantBytes: number;
  waitMs: number;
}

interface Waiting {
  tenantId: TenantId;
  bytes: number;
  start(): void;
}

/** Asks for room for so many bytes of a body before they are read. */
export type Hold = (bytes: number) => Promise<void>;

/** Bodies and answers up to here are carried unasked. */
export const isLight = (bytes: number): boolean => bytes <= DEFAULTS.inlineJsonBytes;

/** What processors get through soon; more at once would only wait inside instead of outside. */
export function freightLimits(cpus: number): FreightLimits {
  const bytes = cpus * DEFAULTS.freightBytesPerCpu;
  return { bytes, tenantBytes: bytes / 2, waitMs: DEFAULTS.slotWaitMs };
}

const tooMuch = (): Refusal =>
  new Refusal(503, 'FNS_503_INVOKER_BUSY', 'Too many large bodies are under way; nothing has run.', { retryAfterSec: 1 });

/**
 * Bounds what large bodies and answers hold of this process's memory: each byte of them costs about eight on its way through
 * parser, slot, check and store. A body that finds no room stays unread with its sender; whoever waits for too long gets 503.
 * A tenant holds at most half, so that another one's large call is always served.
 */
export class Freight {
  private readonly ofTenant = new Map<TenantId, number>();
  private carried = 0;
  private waiting: Waiting[] = [];

  constructor(
    private readonly clock: Pick<Clock, 'after'>,
    private readonly limits: FreightLimits,
  ) {}

  /** Resolves when `bytes` may be read; they are given back once the answer `res` is out or its connection gone. */
  load(tenantId: TenantId, bytes: number, res: ServerResponse): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (why: Error) => {
        late();
        res.off('close', gone);
        this.waiting = this.waiting.filter((each) => each !== one);
        reject(why);
      };
      const late = this.clock.after(this.limits.waitMs, () => leave(tooMuch()));
      const gone = () => leave(new Error('The client closed the connection before its body was read.'));
      const start = () => {
        late();
        res.off('close', gone);
        this.carry(tenantId, bytes, res);
        resolve();
      };
      const one: Waiting = { tenantId, bytes, start };
      res.once('close', gone);
      this.waiting.push(one);
      this.admit();
    });
  }

  /** An answer that is here already: it leaves less room for bodies until it is out. Whoever does not read it loses the connection. */
  answer(tenantId: TenantId, bytes: number, res: ServerResponse): void {
    if (isLight(bytes)) return;
    this.carry(tenantId, bytes, res);
    res.setTimeout(DEFAULTS.unreadAnswerMs);
  }

  private carry(tenantId: TenantId, bytes: number, res: ServerResponse): void {
    if (res.closed) return;
    this.carried += bytes;
    this.ofTenant.set(tenantId, this.held(tenantId) + bytes);
    res.once('close', () => {
      this.carried -= bytes;
      const left = this.held(tenantId) - bytes;
      if (left > 0) this.ofTenant.set(tenantId, left);
      else this.ofTenant.delete(tenantId);
      this.admit();
    });
  }

  private held(tenantId: TenantId): number {
    return this.ofTenant.get(tenantId) ?? 0;
  }

  /** In the order in which they came; a tenant that holds its share is passed over. */
  private admit(): void {
    const { bytes: limit, tenantBytes } = this.limits;
    const all = this.waiting;
    this.waiting = [];
    for (const one of all) {
      const fits = this.carried + one.bytes <= limit && this.held(one.tenantId) + one.bytes <= tenantBytes;
      if (fits) one.start();
      else this.waiting.push(one);
    }
  }
}
