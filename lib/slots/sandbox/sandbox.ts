import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Launcher } from '../launcher.js';
import { launcher, type SandboxOptions } from './launch.js';
import { RoutedNetwork } from './network.js';
import { type ProbeOptions, probeSandbox, type SandboxFound } from './probe.js';

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
  const network = await routed(found, dataDir);
  return {
    found: { ...found, internet: network ? 'public' : 'open' },
    launcher: launcher(found.tier, { dataDir, mounts: found.mounts, network }),
  };
}

async function routed(found: SandboxFound, dataDir: string): Promise<RoutedNetwork | undefined> {
  const canEnter = found.tier === 'A' || (found.tier === 'B' && found.mounts);
  if (!canEnter) {
    found.why.push('functions with `network: internet` see what this machine sees: no network namespaces of their own in this tier');
    return undefined;
  }
  try {
    const name = createHash('sha256').update(dataDir).digest('hex');
    const folder = join(dataDir, 'network');
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    return await RoutedNetwork.open(name, folder);
  } catch (error) {
    const reason = ((error as { stderr?: string }).stderr || (error as Error).message).trim().split('\n')[0];
    found.why.push(`functions with \`network: internet\` see what this machine sees: a network of their own cannot be made (${reason})`);
    return undefined;
  }
}
