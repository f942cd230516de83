import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { CgroupBase } from './cgroup-base.js';
import { descendants, processTree, residentBytes, signalAll } from './process-tree.js';

const MB = 1024 * 1024;

/** Processes and threads of one slot: Node needs 11 threads, a fork bomb stops here. */
export const PROCESSES_PER_SLOT = 256;

/**
 * The reins of one slot's processes: memory limit, CPU weight, freeze and end. By cgroups where the machine lets us, else by
 * signals to the process tree. Groups are made with the process, the limit is written when the function is known.
 */
export class Confinement {
  private readonly folders: string[];
  private freezerFd: number | undefined;
  private frozen = false;
  private ended = false;
  private pid = 0;

  private constructor(
    private readonly base: CgroupBase,
    private readonly name: string,
    private readonly uid: number | undefined,
  ) {
    this.folders = [...new Set([base.memory, base.pids, base.cpu, base.freezer].filter((f): f is string => f !== undefined))].map(
      (folder) => join(folder, name),
    );
  }

  static async make(base: CgroupBase, name: string, memoryMb: number, uid: number | undefined): Promise<Confinement> {
    const made = new Confinement(base, name, uid);
    for (const folder of made.folders) await mkdir(folder, { recursive: true });
    if (base.pids) made.write(base.pids, 'pids.max', PROCESSES_PER_SLOT);
    if (base.freezer) made.freezerFd = openSync(join(base.freezer, name, base.unified ? 'cgroup.freeze' : 'freezer.state'), 'w');
    made.limit(memoryMb);
    return made;
  }

  /** Files that the process writes `0` into before it becomes the slot: joining needs no race with its first fork. */
  get joins(): string[] {
    return this.folders.map((folder) => join(folder, 'cgroup.procs'));
  }

  get capsMemory(): boolean {
    return this.base.memory !== undefined;
  }

  started(pid: number): void {
    this.pid = pid;
  }

  /** CPU weight follows memory, as on Lambda: 1024 MB weigh as much as an ordinary process. */
  limit(memoryMb: number): void {
    const bytes = memoryMb * MB;
    const { memory, cpu, unified } = this.base;
    if (memory && unified) {
      this.write(memory, 'memory.max', bytes);
      this.write(memory, 'memory.swap.max', 0);
    } else if (memory) {
      // Both orders, for the limit with swap must never be the smaller one: raising and lowering differ.
      this.write(memory, 'memory.memsw.limit_in_bytes', bytes);
      this.write(memory, 'memory.limit_in_bytes', bytes);
      this.write(memory, 'memory.memsw.limit_in_bytes', bytes);
    }
    const shares = Math.max(64, Math.min(10_240, memoryMb));
    if (cpu && unified) this.write(cpu, 'cpu.weight', Math.max(1, Math.round(shares / 10.24)));
    else if (cpu) this.write(cpu, 'cpu.shares', shares);
  }

  freeze(): void {
    if (this.frozen || this.ended) return;
    this.frozen = true;
    if (this.base.unified) this.writeFreezer(true);
    else this.signalEach('SIGSTOP');
  }

  thaw(): void {
    if (!this.frozen || this.ended) return;
    this.frozen = false;
    if (this.base.unified) this.writeFreezer(false);
    else this.signalEach('SIGCONT');
  }

  /** Ends every process, frozen or not. */
  kill(): void {
    if (this.ended) return;
    if (this.base.unified) this.write(this.base.unified, 'cgroup.kill', 1);
    // Frozen first, so that no member forks between the listing and the signal; a frozen task of version 1 dies once thawed.
    if (this.freezerFd !== undefined) this.writeFreezer(true);
    signalAll(this.folders.length > 0 ? this.members() : this.everyone(), 'SIGKILL');
    if (this.freezerFd !== undefined) this.writeFreezer(false);
    this.frozen = false;
  }

  rssBytes(): number {
    return this.ended ? 0 : residentBytes(this.members());
  }

  /** True once the kernel has ended a process of the slot for its memory limit. */
  oomKilled(): boolean {
    const { memory, unified } = this.base;
    if (!memory) return false;
    const events = this.read(memory, unified ? 'memory.events' : 'memory.oom_control');
    return Number(/^oom_kill (\d+)/m.exec(events)?.[1] ?? 0) > 0;
  }

  /** After the first process has ended: ends the rest, then removes the groups. */
  async dispose(): Promise<void> {
    // What the slot started and did not detach is still in its group.
    if (this.folders.length === 0 && this.pid > 1) signalAll([-this.pid], 'SIGKILL');
    for (let attempt = 0; attempt < 200; attempt += 1) {
      if (this.remaining().length === 0) break;
      this.kill();
      await delay(Math.min(50, 1 + attempt));
    }
    this.ended = true;
    if (this.freezerFd !== undefined) closeSync(this.freezerFd);
    for (const folder of this.folders) await removeGroup(folder);
  }

  /**
   * Stops or continues by signals: a task in a frozen group of version 1 does not even die, so that slots of a platform that was
   * killed would stay for ever. A process that was forked meanwhile is met by the second round.
   */
  private signalEach(signal: 'SIGSTOP' | 'SIGCONT'): void {
    const first = this.members();
    signalAll(first, signal);
    const late = this.members().filter((pid) => !first.includes(pid));
    signalAll(late, signal);
  }

  private remaining(): number[] {
    if (this.folders.length > 0) return this.members();
    return this.everyone().filter((pid) => Math.abs(pid) !== this.pid);
  }

  /**
   * Without cgroups: the process group that the slot leads, its descendants, and what else runs as its user. Nobody before the
   * process has started: 0 names our own group to kill(2), and everything there is as a root of a tree.
   */
  private everyone(): number[] {
    if (this.pid <= 1) return [];
    return [-this.pid, ...(this.uid === undefined ? descendants(this.pid) : processTree(this.pid, this.uid))];
  }

  private members(): number[] {
    const [folder] = this.folders;
    if (!folder) return this.pid <= 1 ? [] : descendants(this.pid);
    try {
      return readFileSync(join(folder, 'cgroup.procs'), 'latin1').split('\n').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  }

  private writeFreezer(frozen: boolean): void {
    try {
      writeSync(this.freezerFd as number, this.base.unified ? (frozen ? '1' : '0') : frozen ? 'FROZEN' : 'THAWED', 0);
    } catch {
      // The group is gone with its processes.
    }
  }

  private write(folder: string, file: string, value: number): void {
    try {
      writeFileSync(join(folder, this.name, file), String(value));
    } catch {
      // This kernel has no such file (swap accounting, cgroup.kill): the other measures stand.
    }
  }

  private read(folder: string, file: string): string {
    try {
      return readFileSync(join(folder, this.name, file), 'latin1');
    } catch {
      return '';
    }
  }
}

/** A group can be removed a moment after its last process was reaped. */
async function removeGroup(folder: string): Promise<void> {
  for (let attempt = 0; attempt < 40; attempt += 1) {
    try {
      await rmdir(folder);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') return;
      await delay(5 + attempt);
    }
  }
}
