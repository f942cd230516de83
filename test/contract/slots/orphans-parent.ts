/** A platform to be killed: one slot runs a long call, one is idle and frozen. Says their pids. */
import { Leftovers } from '../../../lib/slots/leftovers.js';
import { Rig } from './rig.js';

async function main(): Promise<void> {
  const rig = new Rig({ leftovers: new Leftovers(process.argv[2]!) });
  const sleeping = rig.fn(
    "exports.handler = async () => { require('fs').writeFileSync(process.env.PID, String(process.pid)); await new Promise((r) => setTimeout(r, 60_000)); };",
    {
      timeoutSec: 100,
      env: { PID: `${process.argv[2]}.busy` },
    },
  );
  const idle = rig.fn('exports.handler = async () => process.pid;');
  void rig.run(sleeping);
  const pid = await rig.result(idle);
  await rig.until('it is frozen', () => rig.invoker.counts(idle.functionId).idle === 1);
  await new Promise((done) => setTimeout(done, 200));
  process.stdout.write(`${JSON.stringify({ idle: pid, spares: rig.launcher.launched.map((slot) => slot.pid) })}\n`);
}

void main();
