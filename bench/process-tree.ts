import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SEC = 100;

/** pids of a process and all its descendants now. Linux only: elsewhere just the process. */
export function treeOf(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const ppid = Number(statOf(Number(entry))?.[1]);
    children.set(ppid, [...(children.get(ppid) ?? []), Number(entry)]);
  }
  const tree = [root];
  for (let at = 0; at < tree.length; at += 1) tree.push(...(children.get(tree[at] as number) ?? []));
  return tree;
}

/** User and system time of the tree so far, milliseconds; ended children are counted with the parent that waited for them. */
export function cpuMs(root: number): number {
  let ticks = 0;
  for (const pid of treeOf(root)) {
    const stat = statOf(pid);
    if (stat) ticks += Number(stat[11]) + Number(stat[12]) + Number(stat[13]) + Number(stat[14]);
  }
  return (ticks * 1000) / TICKS_PER_SEC;
}

/** Resident memory: the plain sum, and with shared pages divided among those that share them (PSS). */
export function memoryMb(root: number): { rssMb: number; pssMb: number; processes: number } {
  const sum = { rssMb: 0, pssMb: 0, processes: 0 };
  for (const pid of treeOf(root)) {
    const text = read(`/proc/${pid}/smaps_rollup`);
    if (!text) continue;
    sum.processes += 1;
    sum.rssMb += kbOf(text, 'Rss') / 1024;
    sum.pssMb += kbOf(text, 'Pss') / 1024;
  }
  return sum;
}

const kbOf = (text: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);

/** Fields of /proc/pid/stat from the state on: [state, ppid, …]. */
function statOf(pid: number): string[] | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readdir(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
