import type { AuditTrail } from '../core/audit/model.js';
import type { Clock, Random } from '../core/clock.js';
import type { Functions } from '../core/functions/service.js';
import type { TenantId } from '../core/ids.js';
import type { Invocations } from '../core/invocations/service.js';
import type { LogReader } from '../core/logs/model.js';
import type { Metering } from '../core/metering/service.js';
import type { Metrics } from '../core/metrics/service.js';
import type { Authenticator, Tenancy } from '../core/tenancy/service.js';
import type { Queues } from '../core/triggers/queues.js';
import type { TriggersService } from '../core/triggers/service.js';
import type { SiteRoots } from './present/trigger.js';

/** What `/readyz` tells. `ready`: calls can be taken. */
export interface Health {
  ready: boolean;
  /** `store`, `disk`, `sandbox`, `runtimes`, … each with a word on why where it is not well. */
  checks: Record<string, { ok: boolean; detail?: string } & Record<string, unknown>>;
}

/** What the control plane's routes stand on: one field a concern, put together by a composition root. */
export interface Services {
  clock: Clock;
  random: Random;
  authenticator: Authenticator;
  functions: Functions;
  tenancy: Tenancy;
  audit: AuditTrail;
  invocations: Invocations;
  logs: LogReader;
  triggers: TriggersService;
  queues: Pick<Queues, 'put' | 'list' | 'get'>;
  siteRoots(tenantId: TenantId): SiteRoots;
  metering: Metering;
  metrics: Metrics;
  /** All of the platform's figures as Prometheus reads them. */
  prometheus: { contentType: string; text(): Promise<string> };
  health(): Health | Promise<Health>;
  /** Told of what a caller must not see: the error behind a 500 or 503. */
  onFault(error: unknown, at: { requestId: string; method: string; path: string }): void;
}
