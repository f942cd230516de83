import type { Duplex, Readable } from 'node:stream';
import type { TenantId } from '../core/ids.js';

export type SlotKind = 'node' | 'python';

/**
 * What is known when a slot's process is started. A prepared process is started before its function is known:
 * everything that depends on the function comes later, with `assign` and the ASSIGN frame.
 */
export interface LaunchRequest {
  kind: SlotKind;
  /** Program and arguments that load the bootstrap, e.g. [node, '--max-old-space-size=…', 'dist/runtime-node.js']. A forking launcher may ignore it. */
  argv: readonly string[];
  /** The whole environment of the process: nothing of the platform's is inherited. The tenant's own comes in the ASSIGN frame. */
  env: Readonly<Record<string, string>>;
  /** Upper end of the memory class. The exact limit of the function comes with `assign`. */
  memoryMb: number;
  /** Fixed at start because a network namespace is. */
  network: 'internet' | 'none';
  /** Known for fresh processes, unknown for prepared ones. */
  tenantId?: TenantId;
}

/** What a process is given when its function is known. Called once in a process's life. */
export interface SlotFolders {
  tenantId: TenantId;
  /** Folder of the unpacked code, as the platform sees it. */
  code: string;
  /** Folders of the unpacked layers, in order. */
  layers: readonly string[];
  /** Folder of compiled code made at deploy, where there is one: read-only for the slot. */
  cache?: string;
  /** The function's own limit. */
  memoryMb: number;
}

/** The same folders as the process sees them. */
export interface SeenFolders {
  code: string;
  layers: string[];
  cache?: string;
  /** The function's own writable folder (TMPDIR), empty. */
  tmp?: string;
}

export interface SlotExit {
  code: number | null;
  signal: string | null;
  /** The tier's memory limit ended it. */
  oom: boolean;
}

/** A started process inside its sandbox tier, with the bootstrap waiting for its ASSIGN frame on fd 3. */
export interface LaunchedSlot {
  /** Of the process that runs the bootstrap, as the platform's kernel counts it. */
  readonly pid: number;
  /** The parent's end of fd 3: carries frames (frames.ts), nothing else. */
  readonly socket: Duplex;
  /** Raw descriptors 1 and 2 of the process. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** True where the tier itself ends the process at its memory limit (a cgroup); else the invoker watches `rssBytes`. */
  readonly capsMemory: boolean;
  assign(folders: SlotFolders): Promise<SeenFolders>;
  /** No instruction of the slot (nor of its children) runs until `thaw`. Both return at once and are idempotent. */
  freeze(): void;
  thaw(): void;
  /** Ends the process and its descendants at once, frozen or not. Idempotent. */
  kill(): void;
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<SlotExit>;
  /** Resident bytes of the process and its descendants now; 0 when it has ended. Synchronous: read by the memory watch. */
  rssBytes(): number;
}

/** Starts a slot's process inside a sandbox tier. Rejects (PlatformFault) where the process cannot be started. */
export interface Launcher {
  launch(request: LaunchRequest): Promise<LaunchedSlot>;
  /** Ends helpers that the launcher keeps (a warm parent to fork from). */
  close?(): Promise<void>;
}

/**
 * The runtime itself (Node about 40 MB, Python about 15 MB resident) is not the tenant's: the limit on resident memory is
 * the function's `memoryMb` plus this.
 */
export const RUNTIME_OVERHEAD_MB: Readonly<Record<SlotKind, number>> = { node: 48, python: 24 };
