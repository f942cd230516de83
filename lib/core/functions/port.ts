import type { FunctionId, TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import type { FunctionRecord, VersionRecord } from './model.js';

/** Whole steps over functions and their versions; every query carries the tenant. */
export interface FunctionStore {
  /** The name must be free in its namespace. */
  create(record: FunctionRecord): Promise<{ kind: 'created' } | { kind: 'exists'; functionId: FunctionId }>;
  /** Stores `record` only if the stored revision is still `record.revision - 1`. */
  update(record: FunctionRecord): Promise<{ kind: 'updated' } | { kind: 'changed' } | { kind: 'missing' }>;
  get(tenantId: TenantId, functionId: FunctionId): Promise<FunctionRecord | undefined>;
  byName(tenantId: TenantId, namespace: string, name: string): Promise<FunctionRecord | undefined>;
  list(tenantId: TenantId, query: PageQuery & { namespace?: string; name?: string }): Promise<Page<FunctionRecord>>;
  remove(tenantId: TenantId, functionId: FunctionId): Promise<boolean>;
  /** Freezes the draft as the next number; the same code and configuration as the last version gives that version again. */
  publish(tenantId: TenantId, functionId: FunctionId, description: string, now: number): Promise<VersionRecord | undefined>;
  version(tenantId: TenantId, functionId: FunctionId, version: number): Promise<VersionRecord | undefined>;
  versions(tenantId: TenantId, functionId: FunctionId, query: PageQuery): Promise<Page<VersionRecord>>;
  /** All functions of all tenants that hold something without a call, for the start: warm slots or reserved concurrency. */
  standing(): Promise<FunctionRecord[]>;
}

/** Code, by the digest of its content. Immutable once put. */
export interface CodeStore {
  /** `files`: path -> bytes, already checked. Answers the digest of paths and bytes. */
  put(files: ReadonlyMap<string, Uint8Array>): Promise<{ codeSha256: string; sizeBytes: number }>;
  /** The folder that holds the unpacked code on this machine; a damaged or missing entry is fetched again or thrown as PlatformFault. */
  folder(codeSha256: string): Promise<string>;
  has(codeSha256: string): Promise<boolean>;
}

/** Checks and prepares code for a runtime at deploy. */
export interface CodePreparer {
  /** Empty when it parses; else what is wrong, with file and line. */
  check(runtime: string, handler: string, folder: string): Promise<{ file: string; line?: number; message: string }[]>;
}

/** Reads an archive into memory. Whatever is wrong with it is a Refusal (422) that names the entry. */
export interface Archives {
  unpack(zip: Uint8Array): Promise<ReadonlyMap<string, Uint8Array>>;
}

/** What else hangs on a function and goes with it: its triggers. Called before the function itself goes. */
export interface Dependents {
  functionRemoved(tenantId: TenantId, functionId: FunctionId): Promise<void>;
}
