import { cpuMs, memoryMb } from './process-tree.js';
import type { Fns } from './servers.js';

const SETTLE_MS = 5_000;

export interface Idle {
  readyMs: number;
  rssMb: number;
  pssMb: number;
  processes: number;
  cpuPercent: number;
}

/** A second start on a folder that is there already, then nothing. */
export async function idle(fns: Fns, windowMs: number): Promise<Idle> {
  await fns.start();
  await fns.stop();
  const readyMs = await fns.start();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const before = cpuMs(fns.pid);
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const cpuPercent = ((cpuMs(fns.pid) - before) / windowMs) * 100;
  return { readyMs, cpuPercent, ...memoryMb(fns.pid) };
}
