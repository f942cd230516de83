import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { asTenantId } from '../../../lib/core/ids.js';
import type { InvokeCall, SyncAnswer } from '../../../lib/core/invocations/service.js';
import type { Principal } from '../../../lib/core/tenancy/model.js';
import type { HttpTrigger } from '../../../lib/core/triggers/model.js';
import { Sites } from '../../../lib/core/triggers/sites.js';
import { Freight, freightLimits } from '../../../lib/http/freight.js';
import { handleSite, type SiteDeps } from '../../../lib/http/site/site.js';
import { siteTarget } from '../../../lib/http/site/target.js';

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field
type Loose = any;
type Handler = (event: Loose, call: InvokeCall) => unknown;
interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
  text: string;
  json: Loose;
}

const principal = (tenantId: string, role: Principal['role'] = 'owner'): Principal => ({
  tenantId: asTenantId(tenantId),
  keyId: `key_${role}`,
  role,
  admin: false,
});
const KEYS: Record<string, Principal> = { good: principal('default'), viewer: principal('default', 'viewer'), foreign: principal('other') };

export const ended = (state: string, result?: string): SyncAnswer =>
  ({
    kind: 'done',
    head: { state, requestId: 'req_x', attempts: [{ fault: state === 'SUCCEEDED' ? null : 'tenant' }] },
    result,
    replayed: false,
  }) as unknown as SyncAnswer;

/** The sites of one machine behind a real server, with a function that the test writes as `handler`. */
export class SiteServer {
  readonly calls: InvokeCall[] = [];
  handler: Handler = (event) => event;
  port = 0;
  private readonly sites = new Sites();
  private server!: http.Server;

  async start(): Promise<void> {
    const deps: SiteDeps = {
      sites: this.sites,
      authenticator: { known: (key) => KEYS[key], authenticate: async () => undefined },
      invocations: {
        invokeSync: async (call) => {
          this.calls.push(call);
          const result = await this.handler(JSON.parse(call.payload), call);
          return typeof result === 'object' && result !== null && 'kind' in result
            ? (result as SyncAnswer)
            : ended('SUCCEEDED', JSON.stringify(result ?? null));
        },
      },
      findFunction: () => ({ functionId: 'fn_1', name: 'f' }) as never,
      clock: { now: () => Date.parse('2026-03-12T19:03:58.390Z') } as never,
      freight: new Freight({ after: () => () => undefined }, freightLimits(2)),
      newRequestId: () => 'req_new',
      patience: { idleMs: 300, overallMs: 1_000 },
      onFault: (error) => {
        throw error;
      },
    };
    this.server = http.createServer((req, res) => {
      const target = siteTarget(req.url ?? '', req.headers.host, 'localhost');
      if (!target) res.writeHead(418).end();
      else void handleSite(req, res, target, deps);
    });
    await new Promise<void>((done) => this.server.listen(0, '127.0.0.1', done));
    this.port = (this.server.address() as AddressInfo).port;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  route(more: Partial<HttpTrigger> = {}): void {
    this.sites.set({
      type: 'http',
      triggerId: 'trg_1',
      tenantId: 'default',
      functionId: 'fn_1',
      qualifier: '$LATEST',
      enabled: true,
      path: '/hello/{name}',
      methods: ['GET', 'POST'],
      auth: 'none',
      idempotency: false,
      ...more,
    } as HttpTrigger);
  }

  open(method: string, path: string, options: { headers?: http.OutgoingHttpHeaders; body?: string | Buffer } = {}): Promise<Answer> {
    return new Promise((done, fail) => {
      const req = http.request({ port: this.port, host: '127.0.0.1', method, path, headers: options.headers, agent: false }, (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk) => chunks.push(chunk));
        res.on('error', fail);
        res.on('end', () => {
          const body = Buffer.concat(chunks);
          let json: unknown;
          try {
            json = JSON.parse(body.toString());
          } catch {
            // Not JSON.
          }
          done({ status: res.statusCode!, headers: res.headers, body, text: body.toString(), json });
        });
      });
      req.on('error', fail);
      req.end(options.body);
    });
  }
}
