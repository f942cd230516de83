import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Launcher } from '../launcher.js';
import { cgroupBase, removeCgroupBase } from './cgroup-base.js';
import { launcher, machineName, type SandboxOptions, slotsRoot } from './launch.js';
import { RoutedNetwork, removeNetwork } from './network.js';
import { type ProbeOptions, probeSandbox, type SandboxFound } from './probe.js';
import { deadRemains, forget, note, type Remains } from './remains.js';

export interface Sandbox {
  found: SandboxFound;
  launcher: Launcher;
}

export interface OpenOptions extends ProbeOptions, Pick<SandboxOptions, 'dataDir'> {
  /**
   * Resolves once the data folder is ours. Probing goes on meanwhile; opening ends the slots of an earlier platform on this
   * folder, and must never do that to one that runs.
   */
  locked?: Promise<unknown>;
}

/** Probes this machine and opens the strongest tier that works: what the composition root needs. */
export async function openSandbox(options: OpenOptions): Promise<Sandbox> {
  const { dataDir, locked } = options;
  const [found] = await Promise.all([probeSandbox(options), locked]);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const name = machineName(dataDir);
  for (const [each, remains] of deadRemains(name)) await removeRemains(each, remains);
  const remains = { cgroup: name, slots: slotsRoot(found.tier, dataDir) };
  note(name, remains);
  const network = await routed(found, dataDir, (left) => note(name, { ...remains, ...left }));
  return {
    found: { ...found, internet: network ? 'public' : 'open' },
    launcher: launcher(found.tier, { dataDir, mounts: found.mounts, network }),
  };
}

/** A platform that was killed could not clean up. */
async function removeRemains(name: string, { cgroup, slots, prefix, forwarding }: Remains): Promise<void> {
  removeCgroupBase(cgroupBase(cgroup));
  if (prefix) await removeNetwork(name, prefix, forwarding ?? []);
  rmSync(slots, { recursive: true, force: true });
  forget(name);
}

async function routed(
  found: SandboxFound,
  dataDir: string,
  noted: Parameters<typeof RoutedNetwork.open>[2],
): Promise<RoutedNetwork | undefined> {
  const canEnter = found.tier === 'A' || (found.tier === 'B' && found.mounts);
  if (!canEnter) {
    found.why.push('functions with `network: internet` see what this machine sees: no network namespaces of their own in this tier');
    return undefined;
  }
  try {
    const folder = join(dataDir, 'network');
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    return await RoutedNetwork.open(machineName(dataDir), folder, noted);
  } catch (error) {
    const reason = ((error as { stderr?: string }).stderr || (error as Error).message).trim().split('\n')[0];
    found.why.push(`functions with \`network: internet\` see what this machine sees: a network of their own cannot be made (${reason})`);
    return undefined;
  }
}
