import { Catalog } from '../../../lib/core/functions/catalog.js';
import type { FunctionRecord } from '../../../lib/core/functions/model.js';
import { functionRecord } from '../../contract/ports/functions.js';

function slowStore(record: FunctionRecord | undefined) {
  const waiting: (() => void)[] = [];
  let loads = 0;
  const store = {
    get: () => {
      loads += 1;
      return new Promise<FunctionRecord | undefined>((done) => waiting.push(() => done(record)));
    },
    version: async () => undefined,
    standing: async () => [],
  };
  return {
    catalog: new Catalog(store, () => new Set(['nodejs20'] as const)),
    answer: () => waiting.splice(0).forEach((go) => void go()),
    loads: () => loads,
  };
}

describe('the catalog while things change', () => {
  it('does not keep a record that was read before a change', async () => {
    const old = functionRecord({ memoryMb: 128 });
    const fresh = { ...old, memoryMb: 256, revision: 2 };
    const { catalog, answer } = slowStore(old);
    const reading = catalog.find(old.tenantId, old.functionId);
    catalog.changed(fresh);
    answer();
    expect(await reading).toBe(fresh);
    expect(catalog.find(old.tenantId, old.functionId)).toBe(fresh);
  });

  it('does not bring a removed function back', async () => {
    const old = functionRecord();
    const { catalog, answer, loads } = slowStore(old);
    const reading = catalog.find(old.tenantId, old.functionId);
    catalog.removed(old.tenantId, old.functionId);
    answer();
    await reading;
    void catalog.find(old.tenantId, old.functionId);
    expect(loads()).toBe(2);
  });

  it('takes no older revision for a newer one, whatever order changes are told in', () => {
    const one = functionRecord();
    const { catalog } = slowStore(undefined);
    const three = { ...one, revision: 3 };
    catalog.changed(three);
    catalog.changed({ ...one, revision: 2 });
    expect(catalog.find(one.tenantId, one.functionId)).toBe(three);
  });

  it('gives callers that miss together one record, and so one spec', async () => {
    const fn = functionRecord();
    const { catalog, answer } = slowStore(fn);
    const both = [catalog.find(fn.tenantId, fn.functionId), catalog.find(fn.tenantId, fn.functionId)];
    answer();
    const [a, b] = await Promise.all(both);
    expect(a).toBe(b);
    expect(catalog.spec(a!, '$LATEST')).toBe(catalog.spec(b!, '$LATEST'));
  });

  it('looks up nothing that cannot be a function’s id', () => {
    const { catalog, loads } = slowStore(undefined);
    for (const id of ['__proto__', 'fn_', 'fn_UPPER', '../x']) expect(catalog.find('acme' as never, id as never)).toBeUndefined();
    expect(loads()).toBe(0);
  });
});
