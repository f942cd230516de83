import type { FunctionId, TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import type { Principal } from '../tenancy/model.js';
import type { Concurrency, FunctionRecord, Priority, ProcessModel, RetryPolicy, ScalingSettings, VersionRecord } from './model.js';

/** Code as it arrives, before anything was checked. */
export type CodeUpload =
  | { kind: 'zip'; bytes: Uint8Array }
  | { kind: 'files'; files: Record<string, string> }
  | { kind: 'image'; imageUri: string };

/** What a caller may set. Left out: the default (create, put) or as it is (patch). */
export interface FunctionSettings {
  runtime?: string;
  handler?: string;
  description?: string;
  tags?: Record<string, string>;
  memoryMb?: number;
  timeoutSec?: number;
  env?: Record<string, string>;
  layers?: string[];
  processModel?: ProcessModel;
  network?: 'internet' | 'none';
  concurrency?: Partial<Concurrency>;
  retry?: Partial<RetryPolicy>;
  scaling?: Partial<ScalingSettings>;
  priority?: Priority;
}

export interface NewFunction extends FunctionSettings {
  name: string;
  namespace?: string;
  runtime: string;
  code?: CodeUpload;
}

/** `If-Match` and `If-None-Match` as sent: `"3"`, `W/"3"`, a list, or `*`. */
export interface Precondition {
  ifMatch?: string;
  ifNoneMatch?: string;
}

/** A change that was stored; `warnings` name what works differently on this machine. */
export interface Changed {
  fn: FunctionRecord;
  warnings: string[];
}

/** Functions and versions as routes use them. What a caller did wrong is thrown as Refusal; every change is audited. */
export interface Functions {
  create(who: Principal, input: NewFunction): Promise<Changed>;
  /** Create or replace by name: what is left out takes its default; code that is left out stays. */
  put(who: Principal, input: NewFunction & { namespace: string }, match: Precondition): Promise<Changed & { created: boolean }>;
  /** 404 where there is none. */
  get(tenantId: TenantId, functionId: string): Promise<FunctionRecord>;
  /** 404 where there is none. */
  byName(tenantId: TenantId, namespace: string, name: string): Promise<FunctionRecord>;
  list(tenantId: TenantId, query: PageQuery & { namespace?: string; name?: string }): Promise<Page<FunctionRecord>>;
  /** Merges `retry`, `concurrency`, `scaling`; replaces `env`, `tags`, `layers` as a whole. */
  patch(who: Principal, functionId: string, change: FunctionSettings, match: Precondition): Promise<Changed>;
  /** Versions and triggers go too. */
  remove(who: Principal, functionId: string, match: Precondition): Promise<void>;
  putCode(who: Principal, functionId: string, upload: CodeUpload, match: Precondition): Promise<Changed>;
  setState(who: Principal, functionId: string, state: 'ENABLED' | 'DISABLED'): Promise<Changed>;
  publish(who: Principal, functionId: string, description: string): Promise<VersionRecord>;
  versions(tenantId: TenantId, functionId: string, query: PageQuery): Promise<Page<VersionRecord>>;
  /** 404 where there is none. */
  version(tenantId: TenantId, functionId: string, version: string): Promise<VersionRecord>;
}

/** `fn_` and 20 signs of Crockford base32: anything else cannot exist, and is not looked up. */
export const isFunctionId = (text: string): text is FunctionId => /^fn_[0-9a-hjkmnp-tv-z]{20}$/.test(text);
