import { acceptContract } from './invocations/accept.js';
import { completeContract } from './invocations/complete.js';
import { deadLettersContract } from './invocations/dead-letters.js';
import { leaseContract } from './invocations/lease.js';
import { listsContract } from './invocations/lists.js';
import { payloadsContract } from './invocations/payloads.js';
import { type OpenStore, type Scene, sceneOn } from './invocations/scene.js';

/** What every adapter of InvocationStore must do. */
export function invocationStoreContract(adapter: string, open: () => Promise<OpenStore>): void {
  describe(`invocations, ${adapter}`, () => {
    let opened: OpenStore;
    const scene = (): Scene => sceneOn(opened);

    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => {
      await opened.close();
    });

    acceptContract(scene);
    leaseContract(scene);
    completeContract(scene);
    deadLettersContract(scene);
    listsContract(scene);
    payloadsContract(scene);
  });
}
