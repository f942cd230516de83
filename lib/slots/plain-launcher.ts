import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { PlatformFault } from '../core/refusal.js';
import type { LaunchedSlot, Launcher, LaunchRequest, SeenFolders, SlotExit, SlotFolders } from './launcher.js';

const PAGE_BYTES = 4096;

/** Starts slots as ordinary child processes: no isolation but their own process group and a clean environment. */
export class PlainLauncher implements Launcher {
  async launch(request: LaunchRequest): Promise<LaunchedSlot> {
    const [program, ...args] = request.argv;
    // A group of its own: a signal to the platform's terminal does not reach it, and its children end with it.
    const child = spawn(program!, args, { env: { ...request.env }, stdio: ['ignore', 'pipe', 'pipe', 'pipe'], detached: true, cwd: '/' });
    const exited = new Promise<SlotExit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal, oom: false }));
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw new PlatformFault(`${program} could not be started`, { cause: error });
    }
    return new PlainSlot(child.pid!, child.stdio[3] as Duplex, child.stdout as Readable, child.stderr as Readable, exited);
  }
}

class PlainSlot implements LaunchedSlot {
  readonly capsMemory = false;
  private hasExited = false;
  private tmp: string | undefined;

  constructor(
    readonly pid: number,
    readonly socket: Duplex,
    readonly stdout: Readable,
    readonly stderr: Readable,
    readonly exited: Promise<SlotExit>,
  ) {
    void exited.then(() => {
      this.hasExited = true;
      // Whatever the function started goes with it.
      this.signalGroup('SIGKILL');
      if (this.tmp) rmSync(this.tmp, { recursive: true, force: true });
    });
  }

  async assign({ code, layers, cache }: SlotFolders): Promise<SeenFolders> {
    this.tmp = mkdtempSync(join(tmpdir(), 'fns-slot-'));
    return { code, layers: [...layers], cache, tmp: this.tmp };
  }

  freeze(): void {
    this.signalGroup('SIGSTOP');
  }

  thaw(): void {
    this.signalGroup('SIGCONT');
  }

  kill(): void {
    this.signalGroup('SIGKILL');
  }

  /** Of the process alone: this tier does not know its descendants. */
  rssBytes(): number {
    if (this.hasExited) return 0;
    try {
      return Number(readFileSync(`/proc/${this.pid}/statm`, 'latin1').split(' ')[1]) * PAGE_BYTES;
    } catch {
      return 0;
    }
  }

  private signalGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch {
      // The group has ended.
    }
  }
}
