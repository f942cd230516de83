import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PlatformFault } from '../../core/refusal.js';
import { type LaunchedSlot, type Launcher, type LaunchRequest, RUNTIME_OVERHEAD_MB } from '../launcher.js';
import { type CgroupBase, cgroupBase, removeCgroupBase } from './cgroup-base.js';
import { Confinement, PROCESSES_PER_SLOT } from './confinement.js';
import type { SlotNamespace } from './network.js';
import { ReadableCopies } from './readable-copies.js';
import { forget } from './remains.js';
import { SandboxedSlot } from './sandboxed-slot.js';
import { explainFolder, type SlotSite, SlotSites } from './slot-site.js';
import { bwrapPlan, type PlanInput, plainPlan, type Tier, type TierPlan, userPlan } from './tiers.js';
import { isRoot } from './tools.js';
import { withoutNetwork } from './without-network.js';

export interface SandboxOptions {
  /** The platform's data folder; made 0700. */
  dataDir: string;
  /** Tier B: mounts are allowed too, so that /tmp and /dev/shm can be private. From the probe. */
  mounts?: boolean;
  /** Network namespaces with a way out to public addresses only; absent: functions with `internet` see the machine's network. */
  network?: SlotNetwork;
}

/** Gives each slot a network of its own. */
export interface SlotNetwork {
  take(): Promise<SlotNamespace>;
  close(): Promise<void>;
}

/** The platform's name among those on this machine. */
export const machineName = (dataDir: string): string => `fns-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`;

/** Slots lie outside the data folder (which only the platform may enter) where their user must reach them by path. */
export function slotsRoot(tier: Tier, dataDir: string): string {
  if (tier !== 'B') return join(dataDir, 'slots');
  const name = machineName(dataDir);
  for (const base of ['/var/lib/fns', join(tmpdir(), 'fns-slots')]) {
    try {
      mkdirSync(base, { recursive: true, mode: 0o711 });
      return join(base, name);
    } catch {
      // A read-only system: the next one.
    }
  }
  throw new PlatformFault('no folder for slots can be made: neither /var/lib/fns nor the temporary folder can be written');
}

/** Starts slots in one tier. */
class TierLauncher implements Launcher {
  private readonly root: string;
  private readonly sites: SlotSites;
  private readonly copies: ReadableCopies;
  private readonly cgroups: CgroupBase;
  private readonly running = new Set<SandboxedSlot>();
  private closing: Promise<void> | undefined;

  constructor(
    private readonly tier: Tier,
    private readonly options: SandboxOptions,
  ) {
    mkdirSync(options.dataDir, { recursive: true });
    chmodSync(options.dataDir, 0o700);
    this.root = slotsRoot(tier, options.dataDir);
    this.sites = new SlotSites(this.root, tier === 'B' || (tier === 'A' && isRoot()));
    explainFolder(this.root);
    this.copies = new ReadableCopies(join(this.root, 'runtime'));
    this.cgroups = cgroupBase(machineName(options.dataDir));
  }

  async launch(request: LaunchRequest): Promise<LaunchedSlot> {
    const site = await this.sites.take();
    const memoryMb = request.memoryMb + RUNTIME_OVERHEAD_MB[request.kind];
    let network: SlotNamespace | undefined;
    let confinement: Confinement | undefined;
    try {
      confinement = await Confinement.make(this.cgroups, site.name, memoryMb, site.uid);
      network = request.network === 'internet' ? await this.options.network?.take() : undefined;
      return await this.start(request, site, confinement, network);
    } catch (error) {
      network?.giveBack();
      await confinement?.dispose();
      await this.sites.giveBack(site);
      throw error instanceof PlatformFault
        ? error
        : new PlatformFault(`a slot could not be started: ${(error as Error).message}`, { cause: error });
    }
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    for (const slot of this.running) slot.kill();
    await Promise.all([...this.running].map((slot) => slot.released));
    await this.options.network?.close();
    await this.copies.settled();
    removeCgroupBase(this.cgroups);
    this.sites.close();
    forget(machineName(this.options.dataDir));
  }

  private async start(
    request: LaunchRequest,
    site: SlotSite,
    confinement: Confinement,
    network: SlotNamespace | undefined,
  ): Promise<LaunchedSlot> {
    const plan = this.plan({
      request,
      site,
      argv: this.copies.command(request.argv),
      processes: PROCESSES_PER_SLOT,
      joins: confinement.joins,
      network: request.network === 'none' ? { kind: 'none' } : network ? { kind: 'namespace', ...network } : { kind: 'host' },
    });
    const cut = request.network === 'none' && this.tier !== 'A' && !this.options.mounts ? await withoutNetwork() : [];
    const [program = '', ...args] = [...cut, ...plan.argv];
    const child = spawn(program, args, {
      env: { ...request.env },
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // A Ctrl-C at the terminal is for the platform, which then drains.
      detached: true,
    });
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    const slot = new SandboxedSlot({
      child,
      kind: request.kind,
      site,
      seen: plan.seen,
      confinement,
      codeInPlace: this.tier === 'C',
      afterEnd: async () => {
        network?.giveBack();
        await this.sites.giveBack(site);
      },
    });
    this.running.add(slot);
    void slot.released.then(() => this.running.delete(slot));
    return slot;
  }

  private plan(input: PlanInput): TierPlan {
    if (this.tier === 'A') return bwrapPlan(input);
    return this.tier === 'B' ? userPlan(input, this.options.mounts ?? false) : plainPlan(input);
  }
}

/** `tier` and `options` as `probeSandbox` found them. */
export const launcher = (tier: Tier, options: SandboxOptions): Launcher => new TierLauncher(tier, options);
