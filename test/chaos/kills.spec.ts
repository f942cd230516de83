import { books, brokenPromises, brokenUsage } from './books.js';
import { dice } from './dice.js';
import { deploy, Load } from './load.js';
import { Machine } from './machine.js';

const ROUNDS = 6;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a platform whose processes are killed at random moments', () => {
  it('keeps every promise it gave, bills each attempt once, and leaves no old process behind', async () => {
    const chance = dice();
    const machine = new Machine();
    let load: Load | undefined;
    await machine.start();
    try {
      const functions = await deploy(machine);
      load = new Load(machine, functions, chance);
      const leftovers: string[] = [];
      load.start();
      for (let round = 1; round <= ROUNDS; round += 1) {
        await load.answer(150);
        const killed: string[] = [];
        for (let kills = chance.between(1, 3); kills > 0; kills -= 1) {
          await pause(chance.between(100, 900));
          killed.push(machine.killSomeChild(chance) ?? 'nobody');
        }
        await pause(chance.between(0, 900));
        await machine.crash();
        await machine.start();
        await pause(1_000);
        leftovers.push(...machine.leftovers().map(({ pid, name }) => `round ${round}: ${name} ${pid}`));
        process.stdout.write(`  round ${round}: killed ${killed.join(', ')}, then the platform; ${load.journal.calls} calls so far\n`);
      }
      await load.answer(150);
      await load.stop();
      await machine.quiet();
      const broken = [
        ...leftovers,
        ...(await brokenPromises(machine, load.journal)),
        ...(await brokenUsage(machine, Object.values(functions))),
      ];
      const code = await machine.stop();
      const { broken: wrongBooks, ...tally } = books(machine.dataDir);
      const { accepted, succeeded, keys, calls, refused, broken: cut } = load.journal;
      const promised = { calls, accepted: accepted.size, succeeded: succeeded.size, keys: keys.size, refused, brokenConnections: cut };
      process.stdout.write(`  ${JSON.stringify({ ...promised, ...tally })}\n`);
      expect([...broken, ...wrongBooks]).toEqual([]);
      expect(code).toBe(0);
      expect(Math.min(accepted.size, succeeded.size, keys.size)).toBeGreaterThan(50);
    } finally {
      await load?.stop();
      await machine.dispose();
    }
  }, 200_000);
});
