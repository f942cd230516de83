import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { Clock } from '../../core/clock.js';

/** How long a connection that is kept alive may stand idle before it is closed without having been told. */
const GRACE_MS = 400;
const LOOK_MS = 20;

/**
 * Ends a server without cutting a request. Closing an idle connection races with its client's next request, which then
 * breaks though it was sent to a server that lived; so from `begin` on every answer says `Connection: close`, and a
 * connection is closed by us only after it had time for one more request. (`http.Server.close` closes idle ones at once.)
 */
export class Farewell {
  private leaving = false;
  private listening: Promise<void> = Promise.resolve();

  constructor(
    private readonly server: Server,
    private readonly clock: Clock,
  ) {
    server.prependListener('request', (_req, res) => {
      if (this.leaving) res.shouldKeepAlive = false;
    });
  }

  /** No new connections; what comes on the open ones is answered, and is the last on each. */
  begin(): void {
    this.leaving = true;
    this.listening = new Promise((resolve) => NetServer.prototype.close.call(this.server, () => resolve()));
  }

  /** To be called when nothing runs any more: waits for the last requests of connections kept alive, then closes all. */
  async end(): Promise<void> {
    const until = this.clock.monotonicMs() + GRACE_MS;
    while (this.clock.monotonicMs() < until && (await this.connections()) > 0) {
      await new Promise<void>((resolve) => this.clock.after(LOOK_MS, resolve));
    }
    this.server.closeAllConnections();
    await this.listening;
  }

  private connections(): Promise<number> {
    return new Promise((resolve) => this.server.getConnections((_error, count) => resolve(count ?? 0)));
  }
}
