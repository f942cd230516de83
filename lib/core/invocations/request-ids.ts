import type { Clock, Random } from '../clock.js';
import { asRequestId, base32, type RequestId, sortable, timePrefix } from '../ids.js';

/**
 * Ids that sort by time of acceptance. Keyless: time, this boot, and a sequence. Keyed: time and the key's slot,
 * so that a key used again after its 24 h names a new invocation.
 */
export class RequestIds {
  private readonly boot: string;
  private sequence = 0;
  private lastMs = 0;
  private prefix = '';

  constructor(
    private readonly clock: Clock,
    random: Random,
  ) {
    this.boot = base32(random.bytes(5), 8);
  }

  next(): RequestId {
    this.sequence += 1;
    return asRequestId(`req_${this.time()}${this.boot}${sortable(this.sequence, 8)}`);
  }

  /** @param slot hex of hash(tenant, function, key) */
  keyed(slot: string): RequestId {
    return asRequestId(`req_${this.time()}${slot.slice(0, 16)}`); // hex digits are Crockford digits
  }

  private time(): string {
    const now = this.clock.now();
    if (now !== this.lastMs) {
      this.lastMs = now;
      this.prefix = timePrefix(now);
    }
    return this.prefix;
  }
}
