import { readdirSync, readFileSync } from 'node:fs';
import { Platform, until } from '../e2e/platform.js';
import type { Dice } from './dice.js';

/** A process as nobody can mistake it: pids are used again, a pid and its start time are not. */
interface Seen {
  pid: number;
  parent: number;
  startedAt: string;
  name: string;
  /** Processor time so far. */
  ticks: number;
}

function seen(pid: number): Seen | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return {
      pid,
      parent: Number(fields[1]),
      startedAt: fields[19] as string,
      name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
      ticks: Number(fields[11]) + Number(fields[12]),
    };
  } catch {
    return undefined;
  }
}

function below(root: number): Seen[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => seen(Number(entry)) ?? []);
  const family = new Set([root]);
  for (let grew = true; grew; ) {
    const found = all.filter(({ pid, parent }) => family.has(parent) && !family.has(pid));
    for (const { pid } of found) family.add(pid);
    grew = found.length > 0;
  }
  return all.filter(({ pid }) => family.has(pid) && pid !== root);
}

const lives = ({ pid, startedAt }: Seen): boolean => seen(pid)?.startedAt === startedAt;

/** The platform with the accidents that may befall it. */
export class Machine extends Platform {
  private readonly once = new Map<string, Seen>();

  private get family(): Seen[] {
    const found = below(this.child?.pid ?? -1);
    for (const one of found) this.once.set(`${one.pid}@${one.startedAt}`, one);
    return found;
  }

  /** kill -9 of the platform alone: its slots get no message from anybody. */
  async crash(): Promise<void> {
    void this.family;
    await this.kill();
  }

  /** Slots and other children of the boots before this one that still live. */
  leftovers(): Seen[] {
    const now = new Set(this.family.map(({ pid, startedAt }) => `${pid}@${startedAt}`));
    return [...this.once].filter(([id, one]) => !now.has(id) && lives(one)).map(([, one]) => one);
  }

  /** kill -9 of some child of the platform: mostly one that has much to do, else any that waits for its turn. */
  killSomeChild(dice: Dice): string | undefined {
    const children = this.family.sort((a, b) => b.ticks - a.ticks);
    if (children.length === 0) return undefined;
    const victim = dice.pick(dice.chance(0.7) ? children.slice(0, 4) : children);
    try {
      process.kill(victim.pid, 'SIGKILL');
    } catch {
      return undefined;
    }
    return `${victim.name} ${victim.pid}`;
  }

  /** Ids of the platform's own threads: one that is ended and started again has a new one. */
  threads(): string[] {
    return readdirSync(`/proc/${this.child?.pid}/task`);
  }

  /** Waits until nothing is queued and nothing runs. */
  async quiet(timeoutMs = 60_000): Promise<void> {
    let quietLooks = 0;
    await until(
      'all accepted work is done',
      async () => {
        const { queueLagMs, slots } = await this.ok('GET', '/functions/metrics');
        quietLooks = queueLagMs === 0 && slots.busy === 0 ? quietLooks + 1 : 0;
        return quietLooks > 5;
      },
      timeoutMs,
    );
  }
}
