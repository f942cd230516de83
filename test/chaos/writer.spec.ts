import { KILL_POINTS } from '../../lib/embedded/store/protocol.js';
import { books, brokenPromises, brokenUsage } from './books.js';
import { dice } from './dice.js';
import { deploy, Load } from './load.js';
import { Machine } from './machine.js';

const KILLS = 5;
const WITHIN_MS = 40_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a platform whose writer thread is terminated', () => {
  it.each(KILL_POINTS)(
    'keeps every promise and goes on by itself: at %s',
    async (point) => {
      const chance = dice();
      // After so many batches, so many times: each new writer thread is ended as well.
      const machine = new Machine({ FNS_TEST_KILL_WRITER: `${point}:${chance.between(60, 200)}:${KILLS}` });
      let load: Load | undefined;
      await machine.start();
      try {
        const functions = await deploy(machine);
        load = new Load(machine, functions, chance);
        const threads = new Set(machine.threads());
        const before = threads.size;
        load.start();
        const end = Date.now() + WITHIN_MS;
        while (threads.size - before < KILLS && Date.now() < end) {
          for (const id of machine.threads()) threads.add(id);
          await pause(10);
        }
        await load.answer(100);
        await load.stop();
        const restarts = threads.size - before;
        await machine.quiet();
        const broken = [...(await brokenPromises(machine, load.journal)), ...(await brokenUsage(machine, Object.values(functions)))];
        await machine.stop();
        const { broken: wrongBooks, ...tally } = books(machine.dataDir);
        const { accepted, succeeded, keys, calls, refused } = load.journal;
        const promised = { calls, accepted: accepted.size, succeeded: succeeded.size, keys: keys.size, refused };
        process.stdout.write(`  ${point}, ${restarts} new threads: ${JSON.stringify({ ...promised, ...tally })}\n`);
        expect([...broken, ...wrongBooks]).toEqual([]);
        expect(restarts).toBeGreaterThanOrEqual(KILLS - 1);
        expect(load.journal.broken).toBe(0);
        expect(Math.min(accepted.size, succeeded.size, keys.size)).toBeGreaterThan(20);
      } finally {
        await load?.stop();
        await machine.dispose();
      }
    },
    100_000,
  );
});
