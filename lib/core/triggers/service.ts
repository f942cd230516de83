import type { Page, PageQuery } from '../page.js';
import type { Principal } from '../tenancy/model.js';
import type { Cors, Method, MissedRuns, RouteAuth, Trigger, TriggerStatus } from './model.js';

interface AnyInput {
  /** `$LATEST` (default) or a version number as text. */
  qualifier?: string;
  enabled?: boolean;
}

export interface HttpInput extends AnyInput {
  type: 'http';
  path: string;
  methods?: Method[];
  auth?: RouteAuth;
  cors?: Partial<Cors>;
  idempotency?: boolean;
}

export interface CronInput extends AnyInput {
  type: 'cron';
  schedule: string;
  timezone?: string;
  /** Any JSON value. */
  input?: unknown;
  missedRuns?: MissedRuns;
}

export interface QueueInput extends AnyInput {
  type: 'queue';
  queue?: string;
  queueUrl?: string;
  batchSize?: number;
  batchWindowMs?: number;
  maxConcurrency?: number;
}

export type TriggerInput = HttpInput | CronInput | QueueInput;
/** `type` may be repeated but not changed; `cors: null` takes CORS away. */
export type TriggerChange = { type?: string } & Partial<
  Omit<HttpInput, 'type' | 'cors'> & { cors: Partial<Cors> | null } & Omit<CronInput, 'type'> & Omit<QueueInput, 'type'>
>;

export interface SeenTrigger {
  trigger: Trigger;
  status: TriggerStatus;
}

/** Triggers as routes use them. What a caller did wrong is thrown as Refusal; every change is audited. */
export interface TriggersService {
  create(who: Principal, functionId: string, input: TriggerInput): Promise<SeenTrigger>;
  list(tenantId: string, functionId: string, query: PageQuery): Promise<Page<SeenTrigger>>;
  get(tenantId: string, functionId: string, triggerId: string): Promise<SeenTrigger>;
  update(who: Principal, functionId: string, triggerId: string, change: TriggerChange): Promise<SeenTrigger>;
  remove(who: Principal, functionId: string, triggerId: string): Promise<void>;
}
