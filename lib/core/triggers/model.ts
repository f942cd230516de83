import type { FunctionId, TenantId, TriggerId } from '../ids.js';

/** Methods that a route may name; `ANY` is every method that no other route of the same path takes. */
export const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'ANY'] as const;
export type Method = (typeof METHODS)[number];

export const AUTHS = ['key', 'none', 'jwt'] as const;
export type RouteAuth = (typeof AUTHS)[number];

/** The Fetch standard's CORS protocol, answered by the platform. */
export interface Cors {
  /** Exact origins, or `*`. */
  allowOrigins: string[];
  /** Empty: the route's own methods. */
  allowMethods: string[];
  /** `*`: whatever the preflight asks for. */
  allowHeaders: string[];
  exposeHeaders: string[];
  allowCredentials: boolean;
  maxAgeSec: number;
}

interface TriggerBase {
  triggerId: TriggerId;
  tenantId: TenantId;
  functionId: FunctionId;
  /** `$LATEST` or a version number as text, resolved at each run. */
  qualifier: string;
  enabled: boolean;
  /** Epoch ms. */
  createdAt: number;
  updatedAt: number;
  /** Rises with every change. */
  revision: number;
}

export interface HttpTrigger extends TriggerBase {
  type: 'http';
  /** `/hello/{name}`, `/files/{path+}`. */
  path: string;
  methods: Method[];
  auth: RouteAuth;
  cors?: Cors;
  /** The Idempotency-Key header counts on this route. */
  idempotency: boolean;
}

export type MissedRuns = 'once' | 'skip';

export interface CronTrigger extends TriggerBase {
  type: 'cron';
  schedule: string;
  /** IANA name. */
  timezone: string;
  /** JSON text, given to the handler as `input`. */
  input: string;
  missedRuns: MissedRuns;
  /** Instants up to this one (epoch ms) are dealt with; runs are due after it. */
  handledThrough: number;
}

export interface QueueTrigger extends TriggerBase {
  type: 'queue';
  /** FNS's own queue. Either this or `queueUrl`. */
  queue?: string;
  /** Any SQS queue. */
  queueUrl?: string;
  batchSize: number;
  /** A batch that is not full waits for more until its oldest message is this old. */
  batchWindowMs: number;
  /** Batches of this trigger that run at once, at most. */
  maxConcurrency: number;
}

export type Trigger = HttpTrigger | CronTrigger | QueueTrigger;

/** How the last run ended, as seen by this process. */
export interface LastResult {
  at: number;
  state: string;
  requestId?: string;
  /** Why nothing ran: the refusal's code. */
  code?: string;
}

/** `PAUSED`: its function is disabled. `LAGGING`: messages wait longer than the threshold. `ENDED`: no instant is left. */
export type TriggerState = 'ENABLED' | 'DISABLED' | 'PAUSED' | 'FAILING' | 'LAGGING' | 'ENDED';

/** What a list or a get tells of a trigger beside its own settings. */
export interface TriggerStatus {
  state: TriggerState;
  lastResult?: LastResult;
  /** Epoch ms: the next three (cron). */
  nextRuns?: number[];
  /** Age of the oldest message that waits (queue). */
  lagMs?: number;
  depth?: number;
}
