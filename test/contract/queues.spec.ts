import { EmbeddedQueueStore } from '../../lib/embedded/triggers/queue-store.js';
import { embeddedStore } from './embedded.js';
import { queueStoreContract } from './ports/queues.js';

queueStoreContract('embedded', async () => {
  const { database, close } = await embeddedStore();
  return { store: new EmbeddedQueueStore(database), close };
});
