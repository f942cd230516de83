import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asTenantId } from '../../lib/core/ids.js';
import { EmbeddedFunctionStore } from '../../lib/embedded/functions/function-store.js';
import { LocalSealer, masterKey } from '../../lib/embedded/tenancy/sealer.js';
import { embeddedStore } from './embedded.js';
import { functionRecord, functionStoreContract } from './ports/functions.js';

functionStoreContract('embedded', async () => {
  const { database, dataDir, close } = await embeddedStore();
  return { store: new EmbeddedFunctionStore(database, new LocalSealer(database, masterKey(dataDir))), close };
});

describe('environments at rest', () => {
  it('are sealed: no value can be read in the data folder, and another master key opens nothing', async () => {
    const { database, dataDir, close } = await embeddedStore();
    const store = new EmbeddedFunctionStore(database, new LocalSealer(database, masterKey(dataDir)));
    const fn = functionRecord({ env: { TOKEN: 'tok-9c1b7e-very-secret' } });
    await store.create(fn);
    await store.publish(fn.tenantId, fn.functionId, '', 1);
    const files = ['fns.db', 'fns.db-wal'].map((name) => readFileSync(join(dataDir, name)).toString('latin1'));
    expect(files.join('')).toContain(fn.functionId);
    expect(files.join('')).not.toContain('tok-9c1b7e');
    const stranger = new EmbeddedFunctionStore(database, new LocalSealer(database, new Uint8Array(32)));
    await expect(stranger.get(fn.tenantId, fn.functionId)).rejects.toThrow('does not open');
    await close();
  });

  it('are bound to their function and tenant: what is moved to another one does not open', async () => {
    const { database, dataDir, close } = await embeddedStore();
    const sealer = new LocalSealer(database, masterKey(dataDir));
    const acme = asTenantId('acme');
    const sealed = await sealer.seal(acme, 'fn_1', 'plain');
    expect(await sealer.open(acme, 'fn_1', sealed)).toBe('plain');
    await expect(sealer.open(acme, 'fn_2', sealed)).rejects.toThrow('does not open');
    await expect(sealer.open(asTenantId('rival'), 'fn_1', sealed)).rejects.toThrow('does not open');
    await close();
  });
});
