import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { DEFAULTS } from '../core/defaults.js';
import { type FunctionRecord, LATEST } from '../core/functions/model.js';
import { asTenantId, base32, type FunctionId, timePrefix } from '../core/ids.js';
import type { MeasuredAttempt } from '../core/invocations/parts.js';
import { MetricsRecorder } from '../core/metrics/recorder.js';
import { Metrics } from '../core/metrics/service.js';
import { Farewell } from '../http/fast-lane/farewell.js';
import { fnsServer } from '../http/fast-lane/server.js';
import { Freight, freightLimits } from '../http/freight.js';
import { JsonThread } from '../http/json/json-thread.js';
import { controlPlaneListener } from '../http/listener.js';
import type { Health, Services } from '../http/services.js';
import { handleSite } from '../http/site/site.js';
import { siteTarget } from '../http/site/target.js';
import type { SlotInvoker } from '../slots/invoker.js';
import { type Adapters, adapters } from './adapters.js';
import { systemClock as clock, systemRandom as random } from './clock.js';
import { type Domain, domain } from './domain.js';
import { Execution, sweepLeftovers } from './execution.js';
import { makeHello } from './hello.js';
import { PrometheusText } from './metrics/prometheus.js';
import { distFile } from './paths.js';
import type { Settings } from './settings.js';
import { Database } from './store/database.js';
import { type AdminKey, bootstrapTenancy } from './tenancy/bootstrap.js';
import { SqsQueues } from './triggers/sqs-queues.js';

/** Says what went wrong inside the platform, on stderr as one line of JSON: for the platform team, never for tenants. */
export function tellFault(error: unknown, at: Record<string, string> = {}): void {
  const { name, message, stack, cause } = error instanceof Error ? error : new Error(String(error));
  const why = cause instanceof Error ? cause.message : cause;
  console.error(JSON.stringify({ time: new Date().toISOString(), level: 'error', ...at, name, message, cause: why, stack }));
}

const whyNot = (database: Database): string | undefined => {
  const health = database.health();
  return health.ok ? undefined : health.why;
};

const DEFAULT_TENANT = asTenantId('default');

/** The whole platform of one machine, in this process and its threads and slots. */
export class Platform {
  private farewell: Farewell | undefined;
  private adminKey: AdminKey | undefined;
  private ready = false;
  /** Calls are answered: from the end of recovery on, also while draining. */
  private isOpen = false;
  url = '';

  private constructor(
    private readonly settings: Settings,
    private readonly database: Database,
    private readonly execution: Execution,
    private readonly stores: Adapters,
    private readonly invoker: SlotInvoker,
    private readonly json: JsonThread,
    private readonly domain: Domain,
    private readonly recorder: MetricsRecorder,
  ) {}

  static async start(settings: Settings): Promise<Platform> {
    const { dataDir } = settings;
    const opening = Database.open(dataDir, { diskFloorBytes: settings.diskFloorBytes, killSwitch: settings.killWriter }).then((opened) => {
      sweepLeftovers(dataDir);
      return opened;
    });
    const executing = Execution.open({ dataDir, tier: settings.sandboxTier, clock, onFault: tellFault, locked: opening });
    const [database, execution] = await Promise.all([opening, executing]);
    clock.notBefore((await database.read('invocations.lastSeen', undefined)) ?? 0);
    const stores = adapters(database, clock);
    const json = new JsonThread(distFile('json-thread.js'));
    const invoker = execution.invoker({
      code: stores.code,
      logs: stores.logs,
      validateJson: (text) => json.isJson(text),
      onEvent: () => {},
    });
    database.beforeSend(() => execution.meter.flush());
    const recorder = new MetricsRecorder(clock);
    const owner = `gw-${randomBytes(6).toString('hex')}`;
    const parts = {
      stores,
      execution,
      invoker,
      owner,
      foreign: new SqsQueues(),
      measured: (attempt: MeasuredAttempt) => recorder.record(attempt),
      cannotAccept: () => whyNot(database),
      onFault: tellFault,
    };
    const platform = new Platform(settings, database, execution, stores, invoker, json, domain(parts), recorder);
    await platform.open();
    return platform;
  }

  /** Recovery first, then the door: whoever gets an answer meets a platform that knows its past. */
  private async open(): Promise<void> {
    const { domain, settings, stores } = this;
    const port = await this.listen();
    this.url = `http://${settings.host === '0.0.0.0' || settings.host === '::' ? 'localhost' : settings.host}:${port}`;
    const isFirstStart = (await stores.tenancy.tenant(DEFAULT_TENANT)) === undefined;
    this.adminKey = await bootstrapTenancy(stores.tenancy, {
      dataDir: settings.dataDir,
      adminKey: settings.adminKey,
      url: this.url,
      now: clock.now(),
    });
    await domain.tenancy.start();
    domain.catalog.onChange(({ tenantId, functionId, fn, slots }) => {
      domain.engine.functionChanged(tenantId, functionId, fn?.concurrency.reserved ?? 0);
      domain.runners.functionChanged(functionId);
      if (slots) this.swap(functionId, fn);
    });
    await domain.triggers.load(async (tenantId, functionId) => (await domain.catalog.find(tenantId, functionId)) !== undefined);
    const standing = await domain.catalog.standing();
    for (const fn of standing) domain.engine.functionChanged(fn.tenantId, fn.functionId, fn.concurrency.reserved ?? 0);
    await domain.engine.start();
    for (const spec of await domain.catalog.keptWarm(standing)) this.invoker.keepWarm(spec);
    if (isFirstStart) await makeHello(domain, this.execution.runtimesHere());
    this.isOpen = true;
    domain.runners.start();
    domain.queues.start();
    await domain.upkeep.start();
    stores.expiry.start();
    this.ready = true;
  }

  /** Slots of the old code and configuration finish their calls and go; kept-warm ones start anew. */
  private swap(functionId: FunctionId, fn: FunctionRecord | undefined): void {
    const spec = fn && this.domain.catalog.spec(fn, LATEST);
    if (spec && 'key' in spec) {
      this.invoker.retire(functionId, spec.key);
      this.invoker.keepWarm(spec);
    } else if (!fn) this.invoker.retire(functionId);
  }

  private listen(): Promise<number> {
    const { domain } = this;
    const newRequestId = () => `req_${timePrefix(clock.now())}${base32(random.bytes(10), 16)}`;
    const controlPlane = controlPlaneListener(this.services());
    const find: Domain['catalog']['find'] = (tenantId, functionId) => domain.catalog.find(tenantId, functionId);
    const freight = new Freight(clock, freightLimits(availableParallelism()));
    const site = {
      sites: domain.runners.sites,
      authenticator: domain.keyRing,
      invocations: domain.engine,
      findFunction: find,
      clock,
      freight,
      newRequestId,
      onFault: tellFault,
    };
    const server = fnsServer({
      clock,
      random,
      isOpen: () => this.isOpen,
      invoke: { authenticator: domain.keyRing, find, invocations: domain.engine, json: this.json, random, freight },
      site: (req, res) => {
        const target = siteTarget(req.url ?? '/', req.headers.host, this.settings.siteDomain);
        if (target) void handleSite(req, res, target, site);
        return target !== undefined;
      },
      controlPlane,
      onFault: tellFault,
    });
    this.farewell = new Farewell(server, clock);
    return new Promise((resolve, reject) => {
      server.once('error', reject).listen(this.settings.port, this.settings.host, () => resolve((server.address() as AddressInfo).port));
    });
  }

  private services(): Services {
    const { domain, stores } = this;
    const metrics = this.metrics();
    return {
      clock,
      random,
      authenticator: domain.keyRing,
      functions: domain.functions,
      tenancy: domain.tenancy,
      audit: stores.audit,
      invocations: domain.engine,
      logs: stores.logs,
      metering: domain.metering,
      metrics,
      prometheus: new PrometheusText(metrics),
      triggers: domain.triggers,
      queues: domain.queues,
      siteRoots: (tenantId) => this.siteRoots(tenantId),
      health: () => this.health(),
      onFault: tellFault,
    };
  }

  /** The port is the one that was bound, whatever was asked for. */
  private siteRoots(tenantId: string): { host: string; path: string } {
    const { port } = new URL(this.url);
    return { host: `http://${tenantId}.${this.settings.siteDomain}${port && `:${port}`}`, path: `${this.url}/http/${tenantId}` };
  }

  private metrics(): Metrics {
    const { database, invoker, domain } = this;
    return new Metrics(this.recorder, {
      slots: (functionId, tenantId) => invoker.counts(functionId, tenantId),
      queueLagMs: (functionId, tenantId) => domain.engine.dispatcher.lagMs(functionId, tenantId),
      backlog: () => domain.engine.dispatcher.depth(),
      billingDrift: (of) => domain.upkeep.billingDrift(of),
      storeIsWell: () => database.health().ok,
    });
  }

  private health(): Health {
    const store = this.database.health();
    const { tier, why, runtimes } = this.execution.sandbox;
    const meterFault = this.execution.meter.fault;
    return {
      ready: this.ready && store.ok,
      checks: {
        store: store.ok ? { ok: true } : { ok: false, detail: store.why },
        meter: meterFault ? { ok: false, detail: meterFault.message } : { ok: true },
        sandbox: { ok: true, tier, detail: why.join('; ') || undefined },
        // Anybody may ask: where interpreters lie on this machine is nobody's business.
        runtimes: { ok: true, list: runtimes.map(({ runtime, version, works, reason }) => ({ runtime, version, works, reason })) },
        logs: this.stores.logs.health(),
        start: { ok: this.ready, detail: this.ready ? undefined : 'starting or stopping' },
      },
    };
  }

  get sandbox(): string {
    const { tier, why, runtimes } = this.execution.sandbox;
    const here = runtimes.filter((each) => each.works).map((each) => each.runtime);
    return `tier ${tier}, ${here.join(', ')}${why.length ? `\n           ${why.join('\n           ')}` : ''}`;
  }

  get keyFile(): string {
    return this.adminKey?.credentialsFile ?? '';
  }

  /** The key, where it was made at this start. */
  get madeKey(): string | undefined {
    return this.adminKey?.made ? this.adminKey.key : undefined;
  }

  /** Takes no new calls, lets the running ones end, closes what it opened. */
  async stop(): Promise<void> {
    this.ready = false;
    const { domain, stores } = this;
    domain.queues.stop();
    stores.expiry.stop();
    this.farewell?.begin();
    await Promise.all([domain.runners.stop(DEFAULTS.drainMs), domain.engine.stop(DEFAULTS.drainMs), domain.upkeep.stop()]);
    await this.invoker.drain(1_000);
    await this.farewell?.end();
    await stores.logs.close();
    this.execution.close();
    await this.database.close();
  }
}
