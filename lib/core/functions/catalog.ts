import type { FunctionId, TenantId } from '../ids.js';
import type { Deployments } from '../invocations/deployments.js';
import { notFound, Refusal } from '../refusal.js';
import type { SlotSpec } from '../scheduling/port.js';
import { type FunctionConfig, type FunctionRecord, LATEST, type Runtime, type VersionRecord } from './model.js';
import type { FunctionStore } from './port.js';
import { runtimeNotHere } from './runtimes.js';
import { isFunctionId } from './service.js';

/** What a qualifier stands for now. */
export interface Resolved {
  config: FunctionConfig;
  /** `$LATEST` or a number as text. */
  version: string;
  codeSha256: string | null;
}

/** `fn` is absent where the function was removed. `slots`: what its slots are started from, or how many are kept warm, has changed. */
export interface CatalogChange {
  tenantId: TenantId;
  functionId: FunctionId;
  fn?: FunctionRecord;
  slots: boolean;
}

/** Functions kept in memory at most; the one unused for longest goes first. */
const HELD = 20_000;

/**
 * Functions and versions as the data path needs them: from memory, loaded on a miss, true to every change made
 * through this process. Records are never changed in place: a record's identity stands for its content.
 */
export class Catalog implements Deployments {
  private readonly functions = new Map<FunctionId, FunctionRecord>();
  private readonly versions = new Map<string, VersionRecord>();
  private readonly specs = new WeakMap<FunctionRecord, Map<string, SlotSpec>>();
  private readonly listeners: ((change: CatalogChange) => void)[] = [];
  /** Counts changes: what was loaded while one happened may be old, and is not kept. */
  private changes = 0;

  constructor(
    private readonly store: Pick<FunctionStore, 'get' | 'version' | 'standing'>,
    private readonly runtimesHere: () => ReadonlySet<Runtime>,
  ) {}

  find(tenantId: TenantId, functionId: FunctionId): FunctionRecord | undefined | Promise<FunctionRecord | undefined> {
    const held = this.functions.get(functionId);
    if (held) return held.tenantId === tenantId ? held : undefined;
    return isFunctionId(functionId) ? this.load(tenantId, functionId) : undefined;
  }

  spec(fn: FunctionRecord, qualifier: string): SlotSpec | Refusal | Promise<SlotSpec | Refusal> {
    const held = this.specs.get(fn)?.get(qualifier);
    if (held) return held;
    const resolved = this.resolve(fn, qualifier);
    if (resolved instanceof Promise) return resolved.then((each) => (each instanceof Refusal ? each : this.runnable(fn, qualifier, each)));
    return resolved instanceof Refusal ? resolved : this.runnable(fn, qualifier, resolved);
  }

  /** A 404 Refusal where there is no such version. */
  resolve(fn: FunctionRecord, qualifier: string): Resolved | Refusal | Promise<Resolved | Refusal> {
    if (qualifier === LATEST) return { config: fn, version: LATEST, codeSha256: fn.codeSha256 };
    if (!/^[1-9]\d{0,8}$/.test(qualifier) || Number(qualifier) > fn.lastVersion) return notFound('version', qualifier);
    const held = this.versions.get(`${fn.functionId}:${qualifier}`);
    return held ? frozen(held) : this.loadVersion(fn, Number(qualifier));
  }

  /** What a slot of it is started from. Only `$LATEST` keeps slots warm: a version serves who asks for it. */
  slotSpec(fn: FunctionRecord, resolved: Resolved & { codeSha256: string }): SlotSpec {
    const { runtime, handler, memoryMb, timeoutSec, env, layers, processModel, network, concurrency } = resolved.config;
    const draft = resolved.version === LATEST;
    const state = draft ? `r${fn.slotRevision}` : `v${resolved.version}`;
    return {
      ...{ runtime, handler, memoryMb, timeoutSec, env, layers, processModel, network, concurrency },
      key: `${fn.functionId}:${state}:${resolved.codeSha256.slice(0, 16)}`,
      tenantId: fn.tenantId,
      namespace: fn.namespace,
      functionId: fn.functionId,
      functionName: fn.name,
      version: resolved.version,
      codeSha256: resolved.codeSha256,
      minSlots: draft && fn.state === 'ENABLED' ? fn.scaling.min : 0,
      maxSlots: fn.scaling.max,
    };
  }

  /** For the start: what holds warm slots or reserved concurrency without a call. */
  async standing(): Promise<FunctionRecord[]> {
    return (await this.store.standing()).map((fn) => this.keep(fn));
  }

  /** Of these, what must be warm. Those that cannot run now are left out. */
  async keptWarm(standing: readonly FunctionRecord[]): Promise<SlotSpec[]> {
    const specs = await Promise.all(standing.map((fn) => this.spec(fn, LATEST)));
    return specs.filter((each): each is SlotSpec => !(each instanceof Refusal) && each.minSlots > 0);
  }

  onChange(listener: (change: CatalogChange) => void): void {
    this.listeners.push(listener);
  }

  /** A use case has stored this. */
  changed(fn: FunctionRecord): void {
    const before = this.functions.get(fn.functionId);
    if (before && before.revision >= fn.revision) return;
    this.changes += 1;
    this.keep(fn);
    this.tell({ tenantId: fn.tenantId, functionId: fn.functionId, fn, slots: slotsOf(before) !== slotsOf(fn) });
  }

  removed(tenantId: TenantId, functionId: FunctionId): void {
    this.changes += 1;
    this.functions.delete(functionId);
    this.tell({ tenantId, functionId, slots: true });
  }

  private tell(change: CatalogChange): void {
    for (const listener of this.listeners) listener(change);
  }

  private runnable(fn: FunctionRecord, qualifier: string, resolved: Resolved): SlotSpec | Refusal {
    const { codeSha256 } = resolved;
    if (!this.runtimesHere().has(resolved.config.runtime)) return runtimeNotHere(resolved.config.runtime);
    if (codeSha256 === null) return noCode(fn);
    const spec = this.slotSpec(fn, { ...resolved, codeSha256 });
    const held = this.specs.get(fn) ?? new Map<string, SlotSpec>();
    this.specs.set(fn, held.set(qualifier, spec));
    return spec;
  }

  private async load(tenantId: TenantId, functionId: FunctionId): Promise<FunctionRecord | undefined> {
    const changes = this.changes;
    const fn = await this.store.get(tenantId, functionId);
    // Calls that missed together share one record, and with it one spec.
    const held = this.functions.get(functionId);
    if (held) return held.tenantId === tenantId ? held : undefined;
    return fn && changes === this.changes ? this.keep(fn) : fn;
  }

  private async loadVersion(fn: FunctionRecord, version: number): Promise<Resolved | Refusal> {
    const record = await this.store.version(fn.tenantId, fn.functionId, version);
    if (!record) return notFound('version', String(version));
    this.versions.set(`${fn.functionId}:${version}`, record);
    bound(this.versions);
    return frozen(record);
  }

  private keep(fn: FunctionRecord): FunctionRecord {
    const held = this.functions.get(fn.functionId);
    if (held && held.revision >= fn.revision) return held;
    this.functions.delete(fn.functionId);
    this.functions.set(fn.functionId, fn);
    bound(this.functions);
    return fn;
  }
}

/** Which slots there should be. */
const slotsOf = (fn: FunctionRecord | undefined): string | undefined => fn && `${fn.slotRevision} ${fn.state} ${fn.scaling.min}`;

const frozen = (record: VersionRecord): Resolved => ({ config: record, version: String(record.version), codeSha256: record.codeSha256 });

const noCode = (fn: FunctionRecord): Refusal =>
  new Refusal(409, 'FNS_409_NO_CODE', `Function '${fn.name}' has no code yet; put it with PUT /functions/${fn.functionId}/code.`);

function bound(map: Map<string, unknown>): void {
  if (map.size <= HELD) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
