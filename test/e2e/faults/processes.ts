import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

interface Process {
  pid: number;
  parent: number;
  command: string;
  rssBytes: number;
}

/** All processes below `root`, itself included, whatever user they run as. */
export function processTree(root: number): Process[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)));
  const members = new Map(all.filter(({ pid }) => pid === root).map((each) => [each.pid, each]));
  for (let grew = true; grew; ) {
    const found = all.filter(({ pid, parent }) => members.has(parent) && !members.has(pid));
    for (const each of found) members.set(each.pid, each);
    grew = found.length > 0;
  }
  return [...members.values()];
}

/** Memory of the process and all below it, MB; pages that they share are counted once for each. */
export const residentMb = (root: number): number => processTree(root).reduce((sum, { rssBytes }) => sum + rssBytes, 0) / 1024 / 1024;

/** Begins to watch the process's memory; the answer tells by how many MB it has ever been above what it is now. */
export function memoryGrowth(pid: number): () => number {
  try {
    // Sets the high-water mark back to what is held now (man 5 proc); without the right to, earlier peaks count as held.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not ours to write.
  }
  const before = peakMb(pid);
  return () => peakMb(pid) - before;
}

const peakMb = (pid: number): number => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

function readProcess(pid: number): Process[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    return [{ pid, parent: Number(fields[1]), command, rssBytes: Number(fields[21]) * 4096 }];
  } catch {
    // It ended meanwhile.
    return [];
  }
}
