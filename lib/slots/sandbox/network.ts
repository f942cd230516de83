import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { forwardedElsewhere } from './remains.js';
import { isRoot, systemTool } from './tools.js';

const run = promisify(execFile);

/** A network of its own for one slot. */
export interface SlotNamespace {
  /** Of the network namespace. */
  path: string;
  /** A file for the slot's /etc/resolv.conf. */
  resolvConf: string;
  giveBack(): void;
}

/** RFC 6890 and its like: nothing of it is the public internet, and 169.254.169.254 is the metadata address. */
const NOT_PUBLIC = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4'],
];

/** Links between slots and the machine: /31 each out of 198.18.0.0/15, in 64 blocks of 1,024, one block a platform. */
const BLOCKS = 64;
const LINKS = 1024;

interface Ends {
  host: string;
  slot: string;
}

function ends(block: number, link: number): Ends {
  const at = (block * LINKS + link) * 2;
  const text = (n: number): string => `198.${18 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
  return { host: text(at), slot: text(at + 1) };
}

const ip = (): string => systemTool('ip') as string;
const nft = (): string => systemTool('nft') as string;

/** Several commands of `ip` in one process. */
async function batch(lines: readonly string[], ...options: string[]): Promise<void> {
  const child = run(ip(), [...options, '-batch', '-']);
  child.child.stdin?.end(`${lines.join('\n')}\n`);
  await child;
}

interface Route {
  dst: string;
  dev?: string;
  gateway?: string;
}

const routes = (): Route[] => JSON.parse(execFileSync(ip(), ['-json', '-4', 'route', 'show'], { encoding: 'utf8' })) as Route[];

const forwardingFile = (device: string): string => `/proc/sys/net/ipv4/conf/${device}/forwarding`;

/** Resolvers that slots can be let out to; one on the machine's loopback is none of theirs. */
export function resolvers(): string[] {
  for (const file of ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']) {
    try {
      const found = [...readFileSync(file, 'utf8').matchAll(/^nameserver\s+(\d+\.\d+\.\d+\.\d+)/gm)].map((match) => match[1] as string);
      const usable = found.filter((address) => !address.startsWith('127.'));
      if (usable.length > 0) return usable;
    } catch {
      // The other one may be there.
    }
  }
  return [];
}

/**
 * Network namespaces with a way out to public addresses only: a veth pair each, routed and translated by this machine,
 * filtered by nftables here, outside of the slot's reach. Namespaces are kept and used again: only a slot's processes change
 * what is in one, and those have ended by then.
 */
export class RoutedNetwork {
  private readonly free: string[] = [];
  private made = 0;
  /** Interfaces on which routing was off before any platform came. */
  private devices: string[] = [];

  private constructor(
    private readonly name: string,
    readonly prefix: string,
    private readonly block: number,
    private readonly resolvConf: string,
  ) {}

  /**
   * Rejects where this machine does not allow it. `name` is the platform's among those on this machine; `folder` is for files
   * that slots may read; `noted` is told what would be left if this process were killed, before it is made.
   */
  static async open(name: string, folder: string, noted: (left: { prefix: string; forwarding: string[] }) => void): Promise<RoutedNetwork> {
    const missing = ['ip', 'nft', 'nsenter'].filter((tool) => !systemTool(tool));
    if (missing.length > 0) throw new Error(`${missing.join(' and ')} missing (packages iproute2, nftables, util-linux)`);
    if (!isRoot()) throw new Error('not root');
    const hash = createHash('sha256').update(name).digest();
    const prefix = `fns${hash.toString('hex').slice(0, 6)}`;
    const resolvConf = join(folder, 'resolv.conf');
    const lines = resolvers().map((address) => `nameserver ${address}`);
    writeFileSync(resolvConf, `${[...lines, 'options timeout:2 attempts:2'].join('\n')}\n`, { mode: 0o644 });
    const network = new RoutedNetwork(name, prefix, freeBlock(hash[0] as number, prefix), resolvConf);
    try {
      network.devices = devicesOut(name);
      noted({ prefix, forwarding: network.devices });
      for (const device of network.devices) writeFileSync(forwardingFile(device), '1');
      execFileSync(nft(), ['-f', '-'], { input: network.rules(), stdio: ['pipe', 'ignore', 'pipe'] });
      // The first shows that it works at all.
      network.free.push(await network.make());
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  async take(): Promise<SlotNamespace> {
    const name = this.free.pop() ?? (await this.make());
    return { path: `/run/netns/${name}`, resolvConf: this.resolvConf, giveBack: () => void this.free.push(name) };
  }

  close(): Promise<void> {
    this.free.length = 0;
    return removeNetwork(this.name, this.prefix, this.devices);
  }

  private async make(): Promise<string> {
    if (this.made >= LINKS) throw new Error(`all ${LINKS} networks for slots are in use`);
    const link = this.made;
    this.made += 1;
    const name = `${this.prefix}-${link}`;
    const { host, slot } = ends(this.block, link);
    await batch([
      `netns add ${name}`,
      `link add ${name} type veth peer name eth0 netns ${name}`,
      `addr add ${host}/31 dev ${name}`,
      `link set ${name} up`,
    ]);
    writeFileSync(forwardingFile(name), '1');
    await batch(['link set lo up', `addr add ${slot}/31 dev eth0`, 'link set eth0 up', `route add default via ${host}`], '-n', name);
    return name;
  }

  private rules(): string {
    const links = `"${this.prefix}*"`;
    const neighbours = routes().flatMap(({ dst, dev, gateway }) => (dst === 'default' || gateway || dev?.startsWith('fns') ? [] : [dst]));
    const closed = [...new Set([...NOT_PUBLIC, ...neighbours])].join(', ');
    const dns = resolvers();
    const resolve = dns.length > 0 ? `iifname ${links} ip daddr { ${dns.join(', ')} } meta l4proto { tcp, udp } th dport 53 accept` : '';
    // This machine routed nothing before: it still routes for nobody but slots.
    const others = this.devices.length > 0 ? 'drop' : 'accept';
    return `table inet ${this.prefix}
delete table inet ${this.prefix}
table inet ${this.prefix} {
  set closed { type ipv4_addr; flags interval; auto-merge; elements = { ${closed} } }
  # A reset at once, for ICMP errors are limited to one a second and callers would wait for their timeout.
  chain input { type filter hook input priority -10; policy accept;
    ${resolve}
    iifname ${links} meta l4proto tcp reject with tcp reset
    iifname ${links} reject with icmpx type admin-prohibited
  }
  chain forwarded { type filter hook forward priority -10; policy accept;
    ${resolve}
    iifname ${links} meta nfproto ipv6 drop
    iifname ${links} ip daddr @closed meta l4proto tcp reject with tcp reset
    iifname ${links} ip daddr @closed reject with icmpx type admin-prohibited
    iifname ${links} accept
    oifname ${links} ct state established,related accept
    oifname ${links} drop
    iifname "fns*" accept
    oifname "fns*" accept
    ${others}
  }
  chain translated { type nat hook postrouting priority 100; policy accept;
    iifname ${links} oifname != "fns*" masquerade
  }
}
`;
  }
}

/** Interfaces that lead out, as far as they route only for platforms: none where the machine is a router anyway. */
function devicesOut(name: string): string[] {
  const elsewhere = forwardedElsewhere(name);
  const out = new Set(routes().flatMap(({ dst, dev }) => (dst === 'default' && dev ? [dev] : [])));
  return [...out].filter((device) => elsewhere.has(device) || readFileSync(forwardingFile(device), 'utf8').trim() === '0');
}

/** Removes a platform's namespaces and rules, and switches routing off again unless another platform needs it. */
export async function removeNetwork(name: string, prefix: string, devices: readonly string[]): Promise<void> {
  if (!systemTool('ip') || !systemTool('nft')) return;
  const { stdout } = await run(ip(), ['netns', 'list']).catch(() => ({ stdout: '' }));
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  const mine = names.filter((each) => each.startsWith(`${prefix}-`));
  if (mine.length > 0)
    await batch(
      mine.map((each) => `netns delete ${each}`),
      '-force',
    ).catch(() => undefined);
  const elsewhere = forwardedElsewhere(name);
  for (const device of devices)
    if (!elsewhere.has(device) && existsSync(forwardingFile(device))) writeFileSync(forwardingFile(device), '0');
  await run(nft(), ['delete', 'table', 'inet', prefix]).catch(() => undefined);
}

/** Another platform on this machine uses another block. */
function freeBlock(start: number, prefix: string): number {
  const taken = routes().filter(({ dev }) => dev?.startsWith('fns') && !dev.startsWith(prefix));
  for (let tried = 0; tried < BLOCKS; tried += 1) {
    const block = (start + tried) % BLOCKS;
    const third = (block * LINKS * 2) >> 8;
    const lead = `198.${18 + (third >> 8)}.`;
    const inBlock = ({ dst }: Route): boolean =>
      dst.startsWith(lead) && Math.floor(Number(dst.split('.')[2]) / 8) === Math.floor((third & 255) / 8);
    if (!taken.some(inBlock)) return block;
  }
  throw new Error('no addresses are left for the networks of slots');
}
