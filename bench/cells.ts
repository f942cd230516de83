import { load, median, type Target } from './load.js';
import { cpuMs } from './process-tree.js';
import type { Fns, Server } from './servers.js';

export interface Contender {
  name: string;
  pid: number;
  target: Target;
  /** What must be over before somebody else is measured. */
  settle?(): Promise<void>;
}

export interface Cell {
  name: string;
  connections: number;
  requestsPerSec: number;
  p99Ms: number;
  /** CPU of all processes of the contender, microseconds a request. */
  cpuUs: number;
  refused: number;
}

/** FNS in each of its modes, and the peers with the same handler and the same body. */
export async function contenders(fns: Fns, peers: Server[]): Promise<Contender[]> {
  const functionId = await fns.function();
  const { triggerId } = await fns.api<{ triggerId: string }>('POST', `/functions/${functionId}/triggers`, {
    type: 'http',
    path: '/bench',
    methods: ['POST'],
    auth: 'none',
  });
  if (!triggerId) throw new Error('the route was not made');
  const invoke = `${fns.url}/api/v1/functions/${functionId}/invoke`;
  const sync = { url: `${invoke}?mode=sync`, headers: fns.headers, body: '{"payload":{"name":"World"}}' };
  const plain = { headers: { 'content-type': 'application/json' }, body: '{"name":"World"}' };
  return [
    ...peers.map((peer) => ({ name: peer.name, pid: peer.pid, target: { url: peer.url, ...plain } })),
    { name: 'fns sync', pid: fns.pid, target: sync },
    { name: 'fns sync, key', pid: fns.pid, target: { ...sync, keyed: true } },
    { name: 'fns async', pid: fns.pid, target: { ...sync, url: invoke }, settle: () => fns.quiet() },
    { name: 'fns http', pid: fns.pid, target: { url: `${fns.url}/http/default/bench`, ...plain } },
  ];
}

async function measure({ name, pid, target, settle }: Contender, connections: number, seconds: number): Promise<Cell> {
  const before = cpuMs(pid);
  const result = await load(target, connections, seconds);
  await settle?.();
  const cpuUs = ((cpuMs(pid) - before) * 1000) / Math.max(1, result.requests);
  return { name, connections, requestsPerSec: result.requestsPerSec, p99Ms: result.p99Ms, cpuUs, refused: result.refused };
}

/** Rounds in turn, A B C A B C: the median of each. */
export async function interleaved(all: Contender[], connections: number, rounds: number, seconds: number): Promise<Cell[]> {
  const cells = new Map<string, Cell[]>();
  for (const each of all) await load(each.target, connections, 1); // warm-up, not counted
  for (const each of all) await each.settle?.();
  for (let round = 0; round < rounds; round += 1) {
    for (const each of all) {
      const cell = await measure(each, connections, seconds);
      console.error(`  ${cell.name.padEnd(20)} ${connections} connections  ${Math.round(cell.requestsPerSec)} req/s`);
      cells.set(each.name, [...(cells.get(each.name) ?? []), cell]);
    }
  }
  return [...cells.values()].map(middle);
}

const middle = (cells: Cell[]): Cell => ({
  ...(cells[0] as Cell),
  requestsPerSec: median(cells.map((cell) => cell.requestsPerSec)),
  p99Ms: median(cells.map((cell) => cell.p99Ms)),
  cpuUs: median(cells.map((cell) => cell.cpuUs)),
  refused: cells.reduce((sum, cell) => sum + cell.refused, 0),
});
