import { DEFAULTS } from '../core/defaults.js';
import { Refusal } from '../core/refusal.js';

/** How long a body may stand still, and take in all. */
export interface BodyPatience {
  idleMs: number;
  overallMs: number;
}

const PATIENCE: BodyPatience = { idleMs: DEFAULTS.bodyIdleMs, overallMs: DEFAULTS.bodyMs };

/** The connection ends with this answer: what may still come on it belongs to the body. */
export const tooSlow = (): Refusal =>
  new Refusal(408, 'FNS_408_SLOW_BODY', 'The body did not come in time.', { headers: { connection: 'close' } });

/** Watches a body come. Without it, whoever opens many connections and sends nothing holds what each of them holds. */
export class BodyWatch {
  private readonly idle: NodeJS.Timeout;
  private readonly overall: NodeJS.Timeout;

  /** @param onSlow called once at most, where the body stands still or takes too long. */
  constructor(onSlow: () => void, { idleMs, overallMs } = PATIENCE) {
    const slow = () => {
      this.end();
      onSlow();
    };
    this.idle = setTimeout(slow, idleMs);
    this.overall = setTimeout(slow, overallMs);
  }

  /** More of it has come. */
  came(): void {
    this.idle.refresh();
  }

  end(): void {
    clearTimeout(this.idle);
    clearTimeout(this.overall);
  }
}
