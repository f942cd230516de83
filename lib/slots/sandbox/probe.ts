import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Runtime } from '../../core/functions/model.js';
import type { LaunchRequest } from '../launcher.js';
import { readableByAll } from './folder-copy.js';
import { type Candidate, candidates, hello, helloArguments, runtimeOf } from './interpreters.js';
import { SlotSites } from './slot-site.js';
import { bwrapPlan, type PlanInput, plainPlan, type Tier, userPlan } from './tiers.js';
import { isRoot, systemTool } from './tools.js';

export interface RuntimeFound {
  runtime: Runtime;
  version: string;
  path: string;
  works: boolean;
  reason?: string;
}

/** What this machine can do, as shown in /readyz and by `fns doctor`. */
export interface SandboxFound {
  tier: Tier;
  /** Why no stronger tier was chosen, and what would give it. Empty on tier A. */
  why: string[];
  runtimes: RuntimeFound[];
  /** Tier B: mounts are allowed, so that /tmp and /dev/shm are private. */
  mounts: boolean;
  /**
   * What a function with `network: internet` reaches: `public`, addresses of the public internet only; `open`, whatever this
   * machine reaches, the metadata address and services on its loopback included.
   */
  internet: 'public' | 'open';
  /** Functions of several tenants may run here. */
  allowsSecondTenant: boolean;
}

export interface ProbeOptions {
  /** Try only these, strongest first. */
  tiers?: readonly Tier[];
}

/** One hello in a tier, from a throw-away site. */
class Trial {
  private readonly root = mkdtempSync(join(existsSync('/var/lib') && isRoot() ? '/var/lib' : tmpdir(), 'fns-probe-'));
  private readonly sites: SlotSites;

  constructor(
    readonly tier: Tier,
    readonly mounts: boolean,
  ) {
    chmodSync(this.root, 0o711);
    this.sites = new SlotSites(join(this.root, 'slots'), tier === 'B' || (tier === 'A' && isRoot()));
  }

  async hello(candidate: Candidate): ReturnType<typeof hello> {
    const site = await this.sites.take();
    const request: LaunchRequest = { kind: candidate.kind, argv: [candidate.path], env: {}, memoryMb: 128, network: 'none' };
    const input: PlanInput = {
      request,
      site,
      argv: [candidate.path, ...helloArguments(candidate.kind)],
      processes: 64,
      joins: [],
      network: this.tier === 'A' || this.mounts ? { kind: 'none' } : { kind: 'host' },
    };
    try {
      const plan = this.tier === 'A' ? bwrapPlan(input) : this.tier === 'B' ? userPlan(input, this.mounts) : plainPlan(input);
      return await hello(plan.argv);
    } finally {
      await this.sites.giveBack(site);
    }
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** What a tier needs before a hello is worth trying; undefined where nothing is missing. */
function missingFor(tier: Tier): string | undefined {
  if (tier === 'C') return undefined;
  if (process.platform !== 'linux') return `tier ${tier} needs Linux; this is ${process.platform}`;
  if (tier === 'A') {
    if (!systemTool('bwrap'))
      return 'tier A needs bubblewrap, which is not installed: `apt-get install bubblewrap` (dnf, apk and pacman have it under the same name)';
    return isRoot() && !systemTool('setpriv') ? 'tier A as root needs `setpriv` (package util-linux)' : undefined;
  }
  if (!isRoot()) return 'tier B needs root, or the capabilities SETUID, SETGID and KILL';
  return systemTool('setpriv') ? undefined : 'tier B needs `setpriv` (package util-linux)';
}

async function tryTier(tier: Tier, node: Candidate): Promise<{ trial: Trial } | { why: string }> {
  const missing = missingFor(tier);
  if (missing) return { why: missing };
  const variants = tier === 'B' && systemTool('unshare') && systemTool('mount') ? [true, false] : [false];
  let why = '';
  for (const mounts of variants) {
    const trial = new Trial(tier, mounts);
    const said = await trial.hello(node);
    if ('version' in said) return { trial };
    trial.close();
    why = `tier ${tier} was tried and does not work here: ${said.reason}`;
    if (tier === 'B' && !readableByAll(node.path))
      why = `tier B: slots' users cannot read ${node.path}; install Node.js in a system folder`;
  }
  return { why };
}

async function tryRuntime(trial: Trial, candidate: Candidate): Promise<RuntimeFound | undefined> {
  const said = await trial.hello(candidate);
  if ('version' in said) {
    const runtime = runtimeOf(candidate.kind, said.version);
    return runtime && { runtime, version: said.version, path: candidate.path, works: true };
  }
  // It does not work there; what it is, it tells outside.
  const outside = await hello([candidate.path, ...helloArguments(candidate.kind)]);
  const runtime = 'version' in outside ? runtimeOf(candidate.kind, outside.version) : undefined;
  if (!runtime || !('version' in outside)) return undefined;
  const reason =
    trial.tier === 'B' && !readableByAll(candidate.path)
      ? `slots' users cannot read it: ${candidate.path} lies under a private folder`
      : said.reason;
  return { runtime, version: outside.version, path: candidate.path, works: false, reason };
}

/** Each runtime once: one that works before one that does not, then the first found. */
function bestOfEach(found: readonly RuntimeFound[]): RuntimeFound[] {
  const best = new Map<Runtime, RuntimeFound>();
  for (const entry of found) {
    const known = best.get(entry.runtime);
    if (!known || (!known.works && entry.works)) best.set(entry.runtime, entry);
  }
  return [...best.values()];
}

const byName = (a: RuntimeFound, b: RuntimeFound): number => a.runtime.localeCompare(b.runtime, 'en', { numeric: true });

/** Finds the strongest tier that really runs Node here, and which interpreters run in it. Takes a few hundred milliseconds. */
export async function probeSandbox(options: ProbeOptions = {}): Promise<SandboxFound> {
  const all = candidates();
  const node = all.find(({ kind }) => kind === 'node') as Candidate;
  const why: string[] = [];
  for (const tier of options.tiers ?? (['A', 'B', 'C'] as const)) {
    const tried = await tryTier(tier, node);
    if ('why' in tried) {
      why.push(tried.why);
      continue;
    }
    const { trial } = tried;
    const found = await Promise.all(all.map((candidate) => tryRuntime(trial, candidate)));
    trial.close();
    return {
      tier,
      why,
      runtimes: bestOfEach(found.filter((entry): entry is RuntimeFound => entry !== undefined)).sort(byName),
      mounts: trial.mounts,
      internet: 'open',
      allowsSecondTenant: tier !== 'C',
    };
  }
  throw new Error(`no sandbox tier works on this machine: ${why.join('; ')}`);
}
