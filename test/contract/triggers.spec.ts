import { EmbeddedTriggerStore } from '../../lib/embedded/triggers/trigger-store.js';
import { embeddedStore } from './embedded.js';
import { triggerStoreContract } from './ports/triggers.js';

triggerStoreContract('embedded', async () => {
  const { database, close } = await embeddedStore();
  return { store: new EmbeddedTriggerStore(database), close };
});
