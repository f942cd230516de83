import { readdirSync, readFileSync } from 'node:fs';

/** What the kernel says of running processes; empty where there is no /proc. */
interface ProcessEntry {
  pid: number;
  parent: number;
  uid: number;
}

function entry(pid: number): ProcessEntry | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return {
      pid,
      parent: Number(/^PPid:\s+(\d+)/m.exec(status)?.[1] ?? 0),
      uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? 0),
    };
  } catch {
    return undefined;
  }
}

function everyProcess(): ProcessEntry[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => entry(Number(name)))
      .filter((found): found is ProcessEntry => found !== undefined);
  } catch {
    return [];
  }
}

/** Children of all threads of a process; undefined where the kernel does not list them (CONFIG_PROC_CHILDREN). */
function childrenOf(pid: number): number[] | undefined {
  const children: number[] = [];
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  for (const thread of threads) {
    try {
      const listed = readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1');
      for (const child of listed.split(' ')) if (child) children.push(Number(child));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && thread === String(pid)) return undefined;
    }
  }
  return children;
}

/** The process and its descendants, without a look at the rest of the machine: some 100 us, for it is asked at every freeze. */
export function descendants(rootPid: number): number[] {
  if (rootPid <= 1) throw new Error(`${rootPid} is no slot: it would name everything that runs`);
  const found = [rootPid];
  for (let at = 0; at < found.length; at += 1) {
    const children = childrenOf(found[at] as number);
    if (!children) return processTree(rootPid);
    found.push(...children);
  }
  return found;
}

/**
 * The process, its descendants, and, where the slot has a user of its own, whatever else runs as that user: a child that was
 * orphaned hangs below init and is found in no other way.
 */
export function processTree(rootPid: number, uid?: number): number[] {
  if (rootPid <= 1) throw new Error(`${rootPid} is no slot: it would name everything that runs`);
  const all = everyProcess();
  const members = new Set<number>([rootPid]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const { pid, parent, uid: owner } of all) {
      if (members.has(pid) || !(members.has(parent) || owner === uid)) continue;
      members.add(pid);
      grew = true;
    }
  }
  return all.length === 0 ? [rootPid] : all.filter(({ pid }) => members.has(pid)).map(({ pid }) => pid);
}

const PAGE_BYTES = 4096;

/** Resident bytes; shared pages count once for each process. */
export function residentBytes(pids: readonly number[]): number {
  let pages = 0;
  for (const pid of pids) {
    try {
      pages += Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]);
    } catch {
      // It has ended.
    }
  }
  return pages * PAGE_BYTES;
}

/** A signal to each that still runs; never fails. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    // 0 and -1 are not processes but everybody.
    if (pid === 0 || pid === -1 || pid === 1) continue;
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended, or is no longer ours.
    }
  }
}
