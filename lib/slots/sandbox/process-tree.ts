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

/**
 * The process, its descendants, and, where the slot has a user of its own, whatever else runs as that user: a child that was
 * orphaned hangs below init and is found in no other way.
 */
export function processTree(rootPid: number, uid?: number): number[] {
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
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended, or is no longer ours.
    }
  }
}
