import { differences } from '../audit/changes.js';
import type { AuditLog } from '../audit/model.js';
import type { Clock, Random } from '../clock.js';
import { asFunctionId, base32, type FunctionId, type TenantId } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import { notFound, Refusal } from '../refusal.js';
import type { Principal } from '../tenancy/model.js';
import type { Catalog } from './catalog.js';
import { assertParses, type IntakeParts, takeIn } from './intake.js';
import type { FunctionRecord, VersionRecord } from './model.js';
import type { Dependents, FunctionStore } from './port.js';
import { assertPrecondition } from './precondition.js';
import { missingHere } from './runtimes.js';
import {
  type Changed,
  type CodeUpload,
  type FunctionSettings,
  type Functions,
  isFunctionId,
  type NewFunction,
  type Precondition,
} from './service.js';
import { settle } from './settings.js';

export interface FunctionParts extends IntakeParts {
  store: FunctionStore;
  catalog: Pick<Catalog, 'changed' | 'removed'>;
  dependents: Dependents;
  namespaceExists(tenantId: TenantId, name: string): Promise<boolean>;
  /** What of the tenant's concurrency quota no other function has reserved. */
  reservable(tenantId: TenantId, functionId?: FunctionId): number;
  audit: AuditLog;
  clock: Clock;
  random: Random;
}

/** Another change came between reading and storing; so often in a row that a loop somewhere fights this caller. */
const TRIES = 8;

/** Bookkeeping that every change moves: says nothing in an audit record. */
const NOT_AUDITED = ['revision', 'slotRevision', 'updatedAt', 'createdAt', 'tenantId', 'functionId'];

/** What a slot is started from: when something of it changes, running slots are replaced. */
const startedFrom = (fn: FunctionRecord): unknown[] => [
  ...[fn.runtime, fn.handler, fn.memoryMb, fn.timeoutSec, fn.env, fn.layers, fn.processModel, fn.network, fn.concurrency],
  ...[fn.codeSha256, fn.scaling.max],
];

export class FunctionCases implements Functions {
  constructor(private readonly parts: FunctionParts) {}

  async create(who: Principal, input: NewFunction): Promise<Changed> {
    const namespace = input.namespace ?? 'default';
    if (!(await this.parts.namespaceExists(who.tenantId, namespace))) throw notFound('namespace', namespace);
    const held = await this.parts.store.byName(who.tenantId, namespace, input.name);
    if (held) throw exists(namespace, input.name, held.functionId);
    const settled = settle(input, undefined, this.limits(who.tenantId));
    const code = input.code ? await takeIn(this.parts, settled, input.code) : { codeSha256: null, codeSizeBytes: 0 };
    const now = this.parts.clock.now();
    const fn: FunctionRecord = {
      ...settled,
      ...code,
      functionId: asFunctionId(`fn_${base32(this.parts.random.bytes(13), 20)}`),
      tenantId: who.tenantId,
      namespace,
      name: input.name,
      state: 'ENABLED',
      status: 'ACTIVE',
      revision: 1,
      slotRevision: 1,
      lastVersion: 0,
      createdAt: now,
      updatedAt: now,
    };
    const stored = await this.parts.store.create(fn);
    if (stored.kind === 'exists') throw exists(namespace, input.name, stored.functionId);
    this.parts.catalog.changed(fn);
    const { name, runtime, memoryMb, timeoutSec, codeSha256 } = fn;
    await this.audit(who, 'function.create', fn.functionId, {
      name,
      namespace,
      runtime,
      memoryMb,
      timeoutSec,
      codeSha256,
      env: Object.keys(fn.env),
    });
    return this.told(fn);
  }

  async put(who: Principal, input: NewFunction & { namespace: string }, match: Precondition): Promise<Changed & { created: boolean }> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const held = await this.parts.store.byName(who.tenantId, input.namespace, input.name);
      assertPrecondition(match, held);
      if (held) return { ...(await this.replace(who, held.functionId, input, match)), created: false };
      try {
        return { ...(await this.create(who, input)), created: true };
      } catch (error) {
        // Somebody else made it in between: then it is an update.
        if (!(error instanceof Refusal && error.code === 'FNS_409_EXISTS')) throw error;
      }
    }
    throw contended(input.name);
  }

  async get(tenantId: TenantId, functionId: string): Promise<FunctionRecord> {
    const fn = isFunctionId(functionId) ? await this.parts.store.get(tenantId, functionId) : undefined;
    if (!fn) throw notFound('function', functionId);
    return fn;
  }

  async byName(tenantId: TenantId, namespace: string, name: string): Promise<FunctionRecord> {
    const fn = await this.parts.store.byName(tenantId, namespace, name);
    if (!fn) throw notFound('function', `${namespace}/${name}`);
    return fn;
  }

  list(tenantId: TenantId, query: PageQuery & { namespace?: string; name?: string }): Promise<Page<FunctionRecord>> {
    return this.parts.store.list(tenantId, query);
  }

  async patch(who: Principal, functionId: string, change: FunctionSettings, match: Precondition): Promise<Changed> {
    return this.change(who, functionId, 'function.update', match, async (before) => {
      const settled = settle(change, before, this.limits(who.tenantId, before.functionId));
      const moved = settled.handler !== before.handler || settled.runtime !== before.runtime;
      if (moved && before.codeSha256 !== null && this.parts.runtimesHere().has(settled.runtime)) {
        await assertParses(this.parts, settled, before.codeSha256);
      }
      return { ...before, ...settled };
    });
  }

  async remove(who: Principal, functionId: string, match: Precondition): Promise<void> {
    const fn = await this.get(who.tenantId, functionId);
    assertPrecondition(match, fn);
    // Triggers first: if we crash in between, a function without triggers is left, and the caller's repeat ends it.
    await this.parts.dependents.functionRemoved(who.tenantId, fn.functionId);
    if (!(await this.parts.store.remove(who.tenantId, fn.functionId))) throw notFound('function', functionId);
    this.parts.catalog.removed(who.tenantId, fn.functionId);
    await this.audit(who, 'function.delete', fn.functionId, { name: fn.name, namespace: fn.namespace });
  }

  async putCode(who: Principal, functionId: string, upload: CodeUpload, match: Precondition): Promise<Changed> {
    return this.change(who, functionId, 'function.code', match, async (before) => ({
      ...before,
      ...(await takeIn(this.parts, before, upload)),
    }));
  }

  async setState(who: Principal, functionId: string, state: 'ENABLED' | 'DISABLED'): Promise<Changed> {
    return this.change(who, functionId, state === 'ENABLED' ? 'function.enable' : 'function.disable', {}, async (before) => ({
      ...before,
      state,
    }));
  }

  async publish(who: Principal, functionId: string, description: string): Promise<VersionRecord> {
    const fn = await this.get(who.tenantId, functionId);
    if (fn.codeSha256 === null)
      throw new Refusal(409, 'FNS_409_NO_CODE', `Function '${fn.name}' has no code yet, so there is nothing to publish.`);
    const version = await this.parts.store.publish(who.tenantId, fn.functionId, description, this.parts.clock.now());
    const after = await this.parts.store.get(who.tenantId, fn.functionId);
    if (!version || !after) throw notFound('function', functionId);
    this.parts.catalog.changed(after);
    if (version.version > fn.lastVersion) {
      await this.audit(who, 'function.publish', fn.functionId, { version: version.version, codeSha256: version.codeSha256 });
    }
    return version;
  }

  async versions(tenantId: TenantId, functionId: string, query: PageQuery): Promise<Page<VersionRecord>> {
    const fn = await this.get(tenantId, functionId);
    return this.parts.store.versions(tenantId, fn.functionId, query);
  }

  async version(tenantId: TenantId, functionId: string, version: string): Promise<VersionRecord> {
    const fn = await this.get(tenantId, functionId);
    const found = /^[1-9]\d{0,8}$/.test(version) ? await this.parts.store.version(tenantId, fn.functionId, Number(version)) : undefined;
    if (!found) throw notFound('version', version);
    return found;
  }

  private replace(who: Principal, functionId: FunctionId, input: NewFunction, match: Precondition): Promise<Changed> {
    return this.change(who, functionId, 'function.update', match, async (before) => {
      const settled = settle(input, undefined, this.limits(who.tenantId, before.functionId));
      if (input.code) return { ...before, ...settled, ...(await takeIn(this.parts, settled, input.code)) };
      const moved = settled.handler !== before.handler || settled.runtime !== before.runtime;
      if (moved && before.codeSha256 !== null) await assertParses(this.parts, settled, before.codeSha256);
      return { ...before, ...settled };
    });
  }

  /** Reads, changes and stores, again where another change came between; a change that changes nothing stores nothing. */
  private async change(
    who: Principal,
    functionId: string,
    action: string,
    match: Precondition,
    make: (before: FunctionRecord) => Promise<FunctionRecord>,
  ): Promise<Changed> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const before = await this.get(who.tenantId, functionId);
      assertPrecondition(match, before);
      const made = await make(before);
      if (same(before, made)) return this.told(before);
      const revision = before.revision + 1;
      const slotRevision = same(startedFrom(before), startedFrom(made)) ? before.slotRevision : revision;
      const after: FunctionRecord = { ...made, revision, slotRevision, updatedAt: this.parts.clock.now() };
      const stored = await this.parts.store.update(after);
      if (stored.kind === 'missing') throw notFound('function', functionId);
      if (stored.kind === 'updated') {
        this.parts.catalog.changed(after);
        await this.audit(who, action, after.functionId, { ...differences(before, after, ['env'], NOT_AUDITED) });
        return this.told(after);
      }
    }
    throw contended(functionId);
  }

  private limits(tenantId: TenantId, functionId?: FunctionId) {
    return { here: this.parts.runtimesHere(), concurrency: this.parts.reservable(tenantId, functionId) };
  }

  private told(fn: FunctionRecord): Changed {
    return { fn, warnings: this.parts.runtimesHere().has(fn.runtime) ? [] : [missingHere(fn.runtime)] };
  }

  private audit(who: Principal, action: string, target: string, detail: Record<string, unknown>): Promise<void> {
    return this.parts.audit.append({ at: this.parts.clock.now(), tenantId: who.tenantId, actor: who.keyId, action, target, detail });
  }
}

const same = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

const exists = (namespace: string, name: string, functionId: FunctionId): Refusal =>
  new Refusal(
    409,
    'FNS_409_EXISTS',
    `There is a function '${name}' in namespace '${namespace}' already: ${functionId}. Change it with PUT /namespaces/${namespace}/functions/${name}.`,
  );

const contended = (what: string): Refusal =>
  new Refusal(
    409,
    'FNS_409_CONTENDED',
    `'${what}' was changed by others at the same time, again and again; nothing of this change was stored. Try again.`,
    { retryAfterSec: 1 },
  );
