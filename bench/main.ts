import { contenders, interleaved } from './cells.js';
import { idle } from './idle.js';
import { cold, warm } from './latency.js';
import { hasWrk } from './load.js';
import { keep, markdown, type Results } from './report.js';
import { Fns, functionsFramework, type Server, workerd } from './servers.js';

const quick = process.argv.includes('--quick');
const ROUNDS = quick ? 1 : 3;
const SECONDS = quick ? 2 : 4;
const SUSTAINED_SEC = quick ? 3 : 15;
const COLD_STARTS = quick ? 10 : 40;
const WARM_CALLS = quick ? 500 : 3_000;

async function main(): Promise<void> {
  const fns = new Fns();
  const peers: Server[] = [];
  try {
    console.error('idle …');
    const idleFigures = await idle(fns, quick ? 3_000 : 10_000);
    console.error('warm and cold …');
    const latencies = {
      warm: await warm(fns, WARM_CALLS),
      coldNode: await cold(fns, 'nodejs20', COLD_STARTS),
      coldPython: await python(fns),
    };
    peers.push(await functionsFramework(), await workerd());
    const all = await contenders(fns, peers);
    const cells = [...(await interleaved(all, 16, ROUNDS, SECONDS)), ...(await interleaved(all, 64, ROUNDS, SECONDS))];
    console.error('sustained …');
    const lasting = all.filter(({ name }) => name !== 'fns async' && name !== 'fns http');
    const sustained = [...(await interleaved(lasting, 16, 1, SUSTAINED_SEC)), ...(await interleaved(lasting, 64, 1, SUSTAINED_SEC))];
    const results: Results = { cells, sustained, ...latencies, idle: idleFigures, loadTool: hasWrk ? 'wrk' : 'autocannon' };
    const text = markdown(results);
    console.log(text);
    if (!quick) keep(text);
  } finally {
    await Promise.all([fns.stop(), ...peers.map((peer) => peer.stop())]);
    fns.dispose();
  }
}

/** Undefined where this machine has no Python that works. */
async function python(fns: Fns): Promise<Results['coldPython']> {
  const { checks } = (await (await fetch(`${fns.url}/readyz`)).json()) as {
    checks: { runtimes: { list: { runtime: string; works: boolean }[] } };
  };
  const found = checks.runtimes.list.find(({ runtime, works }) => works && runtime.startsWith('python'));
  return found && cold(fns, found.runtime, COLD_STARTS);
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
