import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { type LaunchedSlot, RUNTIME_OVERHEAD_MB, type SeenFolders, type SlotExit, type SlotFolders, type SlotKind } from '../launcher.js';
import type { Confinement } from './confinement.js';
import { fillFolder } from './folder-copy.js';
import type { SlotSite } from './slot-site.js';
import type { TierPlan } from './tiers.js';

interface Parts {
  child: ChildProcess;
  kind: SlotKind;
  site: SlotSite;
  seen: TierPlan['seen'];
  confinement: Confinement;
  /** Code is shown where it lies (tier C) instead of being put into the slot's own folder. */
  codeInPlace: boolean;
  afterEnd(): Promise<void>;
}

/** A process in its tier, with folders, limits and an end. */
export class SandboxedSlot implements LaunchedSlot {
  readonly pid: number;
  readonly socket: Duplex;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly capsMemory: boolean;
  readonly exited: Promise<SlotExit>;
  /** Resolves when nothing of the slot is left on the machine. */
  readonly released: Promise<void>;
  private hasEnded = false;

  constructor(private readonly parts: Parts) {
    const { child, confinement } = parts;
    this.pid = child.pid as number;
    confinement.started(this.pid);
    this.socket = child.stdio[3] as unknown as Duplex;
    this.stdout = child.stdout as Readable;
    this.stderr = child.stderr as Readable;
    this.capsMemory = confinement.capsMemory;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.hasEnded = true;
        resolve({ ...ending(code, signal), oom: confinement.oomKilled() });
      });
    });
    this.released = this.exited.then(() => confinement.dispose()).then(() => parts.afterEnd());
  }

  async assign(folders: SlotFolders): Promise<SeenFolders> {
    const { site, seen, kind, confinement, codeInPlace } = this.parts;
    confinement.limit(folders.memoryMb + RUNTIME_OVERHEAD_MB[kind]);
    if (!codeInPlace) await fillFolder(folders.code, join(site.folder, 'task'));
    if (!codeInPlace) for (const layer of folders.layers) await fillFolder(layer, join(site.folder, 'opt'));
    if (!codeInPlace && folders.cache) await fillFolder(folders.cache, join(site.folder, 'cache'));
    return {
      code: codeInPlace ? folders.code : seen.code,
      layers: codeInPlace ? [...folders.layers] : folders.layers.length > 0 ? [seen.opt] : [],
      cache: codeInPlace ? folders.cache : folders.cache && seen.cache,
      tmp: seen.tmp,
    };
  }

  freeze(): void {
    if (!this.hasEnded) this.parts.confinement.freeze();
  }

  thaw(): void {
    if (!this.hasEnded) this.parts.confinement.thaw();
  }

  kill(): void {
    if (this.hasEnded) return;
    this.parts.confinement.kill();
    this.parts.child.kill('SIGKILL');
  }

  rssBytes(): number {
    return this.hasEnded ? 0 : this.parts.confinement.rssBytes();
  }
}

/** A wrapper reports its child's signal as 128 + number. */
function ending(code: number | null, signal: NodeJS.Signals | null): { code: number | null; signal: string | null } {
  if (code === null || code <= 128 || code > 128 + 64) return { code, signal };
  return { code: null, signal: SIGNALS[code - 128] ?? `SIG${code - 128}` };
}

const SIGNALS: Record<number, string> = {
  4: 'SIGILL',
  5: 'SIGTRAP',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  15: 'SIGTERM',
  24: 'SIGXCPU',
  25: 'SIGXFSZ',
};
