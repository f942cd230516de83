import type { FunctionRecord } from '../../../lib/core/functions/model.js';
import type { FunctionStore } from '../../../lib/core/functions/port.js';
import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';

let made = 0;
const tenantId = asTenantId('acme');

export function functionRecord(over: Partial<FunctionRecord> = {}): FunctionRecord {
  made += 1;
  const id = `fn_${String(made).padStart(20, '0')}`;
  return {
    functionId: asFunctionId(id),
    tenantId,
    namespace: 'default',
    name: `f${made}`,
    description: '',
    tags: {},
    runtime: 'nodejs20',
    handler: 'index.handler',
    memoryMb: 128,
    timeoutSec: 3,
    env: { SECRET: 'open sesame' },
    layers: [],
    processModel: 'resident',
    network: 'internet',
    concurrency: { perSlot: 1 },
    retry: { maxRetries: 5, baseDelayMs: 500, maxAgeSec: 21_600 },
    scaling: { min: 0 },
    priority: 'normal',
    state: 'ENABLED',
    status: 'ACTIVE',
    codeSha256: 'a'.repeat(64),
    codeSizeBytes: 10,
    revision: 1,
    slotRevision: 1,
    lastVersion: 0,
    createdAt: 1000 + made,
    updatedAt: 1000 + made,
    ...over,
  };
}

/** Every adapter of FunctionStore is held to this. */
export function functionStoreContract(name: string, make: () => Promise<{ store: FunctionStore; close(): Promise<void> }>): void {
  describe(`FunctionStore: ${name}`, () => {
    let store: FunctionStore;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ store, close } = await make());
    });
    afterAll(() => close());

    it('gives back what was created, by id and by name', async () => {
      const fn = functionRecord();
      expect(await store.create(fn)).toEqual({ kind: 'created' });
      expect(await store.get(tenantId, fn.functionId)).toEqual(fn);
      expect(await store.byName(tenantId, 'default', fn.name)).toEqual(fn);
    });

    it('knows the same creation again when only its acknowledgement was lost', async () => {
      const fn = functionRecord();
      await store.create(fn);
      expect(await store.create(fn)).toEqual({ kind: 'created' });
    });

    it('refuses a name twice in a namespace, and takes it in another one and of another tenant', async () => {
      const fn = functionRecord();
      await store.create(fn);
      expect(await store.create(functionRecord({ name: fn.name }))).toEqual({ kind: 'exists', functionId: fn.functionId });
      expect(await store.create(functionRecord({ name: fn.name, namespace: 'other' }))).toEqual({ kind: 'created' });
      expect(await store.create(functionRecord({ name: fn.name, tenantId: asTenantId('rival') }))).toEqual({ kind: 'created' });
    });

    it('shows a tenant nothing of another one', async () => {
      const fn = functionRecord();
      await store.create(fn);
      const rival = asTenantId('rival');
      expect(await store.get(rival, fn.functionId)).toBeUndefined();
      expect(await store.byName(rival, 'default', fn.name)).toBeUndefined();
      expect(await store.update({ ...fn, tenantId: rival, revision: 2 })).toEqual({ kind: 'missing' });
      expect(await store.publish(rival, fn.functionId, '', 1)).toBeUndefined();
      expect(await store.remove(rival, fn.functionId)).toBe(false);
      expect((await store.list(rival, { limit: 1000 })).items.map((each) => each.functionId)).not.toContain(fn.functionId);
    });

    it('stores an update of the revision that was read, and no other', async () => {
      const fn = functionRecord();
      await store.create(fn);
      const second = { ...fn, memoryMb: 256, env: { OTHER: '1' }, revision: 2 };
      expect(await store.update(second)).toEqual({ kind: 'updated' });
      expect(await store.update({ ...fn, memoryMb: 512, revision: 2 })).toEqual({ kind: 'changed' });
      expect(await store.get(tenantId, fn.functionId)).toEqual(second);
      expect(await store.update(functionRecord({ revision: 2 }))).toEqual({ kind: 'missing' });
    });

    it('lets one of many updates at once win', async () => {
      const fn = functionRecord();
      await store.create(fn);
      const done = await Promise.all([1, 2, 3, 4, 5].map((i) => store.update({ ...fn, memoryMb: 128 + i, revision: 2 })));
      expect(done.filter(({ kind }) => kind === 'updated')).toHaveLength(1);
    });

    it('lists each once, page by page, with filters', async () => {
      const lister = asTenantId('lister');
      const all = Array.from({ length: 7 }, (_, i) =>
        functionRecord({ tenantId: lister, createdAt: 5, namespace: i < 3 ? 'a' : 'b', name: `n${i % 4}-${i}` }),
      );
      for (const fn of all) await store.create(fn);
      const seen: string[] = [];
      for (let cursor: string | undefined, more = true; more; ) {
        const page = await store.list(lister, { limit: 2, cursor });
        expect(page.items.length).toBeLessThanOrEqual(2);
        seen.push(...page.items.map((each) => each.functionId));
        cursor = page.nextCursor;
        more = cursor !== undefined;
      }
      expect(seen.sort()).toEqual(all.map((each) => each.functionId).sort());
      expect((await store.list(lister, { limit: 10, namespace: 'a' })).items).toHaveLength(3);
      expect((await store.list(lister, { limit: 10, name: 'n1-5' })).items.map((each) => each.name)).toEqual(['n1-5']);
      await expect(store.list(lister, { limit: 2, cursor: 'e30' })).rejects.toMatchObject({ status: 422 });
    });

    it('publishes numbered versions that stay as they were, and the same draft only once', async () => {
      const fn = functionRecord();
      await store.create(fn);
      const one = await store.publish(tenantId, fn.functionId, 'first', 50);
      expect(one).toMatchObject({ version: 1, description: 'first', env: fn.env, codeSha256: fn.codeSha256, createdAt: 50 });
      expect(await store.publish(tenantId, fn.functionId, 'again', 60)).toEqual(one);
      const draft = (await store.get(tenantId, fn.functionId)) as FunctionRecord;
      expect(draft.lastVersion).toBe(1);
      await store.update({ ...draft, env: { SECRET: 'other' }, codeSha256: 'b'.repeat(64), revision: draft.revision + 1 });
      const two = await store.publish(tenantId, fn.functionId, '', 70);
      expect(two).toMatchObject({ version: 2, env: { SECRET: 'other' } });
      expect(await store.version(tenantId, fn.functionId, 1)).toEqual(one);
      expect((await store.versions(tenantId, fn.functionId, { limit: 10 })).items).toEqual([one, two]);
      const first = await store.versions(tenantId, fn.functionId, { limit: 1 });
      expect((await store.versions(tenantId, fn.functionId, { limit: 1, cursor: first.nextCursor })).items).toEqual([two]);
    });

    it('gives no version number twice, however many publish and change at once', async () => {
      const fn = functionRecord();
      await store.create(fn);
      const bump = async (i: number): Promise<void> => {
        const now = (await store.get(tenantId, fn.functionId)) as FunctionRecord;
        await store.update({ ...now, memoryMb: 200 + i, revision: now.revision + 1 });
      };
      await Promise.all([1, 2, 3, 4].flatMap((i) => [bump(i), store.publish(tenantId, fn.functionId, '', i)]));
      const versions = (await store.versions(tenantId, fn.functionId, { limit: 100 })).items.map((each) => each.version);
      expect(versions).toEqual(versions.map((_, i) => i + 1));
      expect((await store.get(tenantId, fn.functionId))?.lastVersion).toBe(versions.length);
    });

    it('publishes nothing without code', async () => {
      const fn = functionRecord({ codeSha256: null });
      await store.create(fn);
      expect(await store.publish(tenantId, fn.functionId, '', 1)).toBeUndefined();
    });

    it('removes a function with its versions, and frees its name', async () => {
      const fn = functionRecord();
      await store.create(fn);
      await store.publish(tenantId, fn.functionId, '', 1);
      expect(await store.remove(tenantId, fn.functionId)).toBe(true);
      expect(await store.remove(tenantId, fn.functionId)).toBe(false);
      expect(await store.get(tenantId, fn.functionId)).toBeUndefined();
      expect(await store.version(tenantId, fn.functionId, 1)).toBeUndefined();
      expect(await store.create(functionRecord({ name: fn.name }))).toEqual({ kind: 'created' });
    });

    it('names all functions that keep slots warm, of every tenant', async () => {
      const warm = functionRecord({ scaling: { min: 2 } });
      const cooled = functionRecord({ scaling: { min: 2 } });
      const off = functionRecord({ scaling: { min: 2 }, state: 'DISABLED' });
      for (const fn of [warm, cooled, off]) await store.create(fn);
      await store.update({ ...cooled, scaling: { min: 0 }, revision: 2 });
      const ids = (await store.standing()).map((each) => each.functionId);
      expect(ids).toContain(warm.functionId);
      expect(ids).not.toContain(cooled.functionId);
      expect(ids).not.toContain(off.functionId);
    });
  });
}
