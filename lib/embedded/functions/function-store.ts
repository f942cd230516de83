import type { FunctionRecord, VersionRecord } from '../../core/functions/model.js';
import type { FunctionStore } from '../../core/functions/port.js';
import { asFunctionId, type FunctionId, type TenantId } from '../../core/ids.js';
import { cursorKey, cursorOf, type Page, type PageQuery } from '../../core/page.js';
import type { Sealer } from '../../core/tenancy/sealer.js';
import type { Database } from '../store/database.js';
import type { SealedEnv, StoredFunction, StoredVersion } from './tables.js';

/** Functions and versions in the embedded store; environments are sealed on their way in and opened on their way out. */
export class EmbeddedFunctionStore implements FunctionStore {
  constructor(
    private readonly database: Database,
    private readonly sealer: Sealer,
  ) {}

  async create(record: FunctionRecord): Promise<{ kind: 'created' } | { kind: 'exists'; functionId: FunctionId }> {
    const done = await this.database.write('functions.create', await this.sealed(record));
    return done.kind === 'created' ? done : { kind: 'exists', functionId: asFunctionId(done.functionId) };
  }

  async update(record: FunctionRecord): Promise<{ kind: 'updated' } | { kind: 'changed' } | { kind: 'missing' }> {
    return this.database.write('functions.update', await this.sealed(record));
  }

  async get(tenantId: TenantId, functionId: FunctionId): Promise<FunctionRecord | undefined> {
    return this.opened(await this.database.read('functions.get', { tenantId, functionId }));
  }

  async byName(tenantId: TenantId, namespace: string, name: string): Promise<FunctionRecord | undefined> {
    return this.opened(await this.database.read('functions.byName', { tenantId, namespace, name }));
  }

  async list(tenantId: TenantId, query: PageQuery & { namespace?: string; name?: string }): Promise<Page<FunctionRecord>> {
    const { limit, namespace, name } = query;
    const after = cursorKey(query.cursor, ['number', 'text'] as const);
    const found = await this.database.read('functions.list', { tenantId, namespace, name, after, limit: limit + 1 });
    const items = await Promise.all(found.slice(0, limit).map((each) => this.opened(each)));
    const last = items.at(-1);
    return { items, nextCursor: found.length > limit && last ? cursorOf(last.createdAt, last.functionId) : undefined };
  }

  remove(tenantId: TenantId, functionId: FunctionId): Promise<boolean> {
    return this.database.write('functions.remove', { tenantId, functionId });
  }

  async publish(tenantId: TenantId, functionId: FunctionId, description: string, now: number): Promise<VersionRecord | undefined> {
    return this.openedVersion(tenantId, await this.database.write('functions.publish', { tenantId, functionId, description, now }));
  }

  async version(tenantId: TenantId, functionId: FunctionId, version: number): Promise<VersionRecord | undefined> {
    return this.openedVersion(tenantId, await this.database.read('functions.version', { tenantId, functionId, version }));
  }

  async versions(tenantId: TenantId, functionId: FunctionId, query: PageQuery): Promise<Page<VersionRecord>> {
    const after = cursorKey(query.cursor, ['number'] as const)?.[0] ?? 0;
    const found = await this.database.read('functions.versions', { tenantId, functionId, after, limit: query.limit + 1 });
    const items = await Promise.all(found.slice(0, query.limit).map((each) => this.openedVersion(tenantId, each)));
    const last = items.at(-1);
    return { items, nextCursor: found.length > query.limit && last ? cursorOf(last.version) : undefined };
  }

  async standing(): Promise<FunctionRecord[]> {
    const found = await this.database.read('functions.standing', {});
    return Promise.all(found.map((each) => this.opened(each)));
  }

  /** Digests that a function or a version points to: what else lies in the code store may go. */
  async codeInUse(): Promise<Set<string>> {
    return new Set(await this.database.read('functions.codeInUse', {}));
  }

  private async sealed({ env, ...rest }: FunctionRecord): Promise<StoredFunction> {
    const plain = JSON.stringify(Object.fromEntries(Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))));
    const [sealedEnv, envMark] =
      plain === '{}'
        ? ['', '']
        : await Promise.all([this.sealer.seal(rest.tenantId, rest.functionId, plain), this.sealer.fingerprint(rest.tenantId, plain)]);
    return { ...rest, sealedEnv, envMark };
  }

  private async opened<T extends StoredFunction | undefined>(stored: T): Promise<T extends undefined ? undefined : FunctionRecord>;
  private async opened(stored: StoredFunction | undefined): Promise<FunctionRecord | undefined> {
    if (!stored) return undefined;
    const { sealedEnv, envMark, ...rest } = stored;
    return { ...rest, env: await this.env(stored.tenantId, stored.functionId, { sealedEnv, envMark }) };
  }

  private async openedVersion<T extends StoredVersion | undefined>(
    tenantId: TenantId,
    stored: T,
  ): Promise<T extends undefined ? undefined : VersionRecord>;
  private async openedVersion(tenantId: TenantId, stored: StoredVersion | undefined): Promise<VersionRecord | undefined> {
    if (!stored) return undefined;
    const { sealedEnv, envMark, ...rest } = stored;
    return { ...rest, env: await this.env(tenantId, stored.functionId, { sealedEnv, envMark }) };
  }

  private async env(tenantId: TenantId, functionId: FunctionId, { sealedEnv }: SealedEnv): Promise<Record<string, string>> {
    return sealedEnv === '' ? {} : (JSON.parse(await this.sealer.open(tenantId, functionId, sealedEnv)) as Record<string, string>);
  }
}
