import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

const COMPACT_AFTER = 2000;

/**
 * Processes of slots by pid and start time, in a file of the data folder: a stopped slot does not see that its invoker
 * was killed, so the next start ends it, before anything is recovered. The start time tells it from a later process that
 * was given the same pid.
 */
export class Leftovers {
  private readonly live = new Map<number, string>();
  private appended = 0;

  constructor(private readonly path: string) {}

  /** Ends what an earlier platform on this data folder left running. Answers how many. */
  sweep(): number {
    let ended = 0;
    for (const [pid, startedAt] of readRecords(this.path)) {
      if (startTimeOf(pid) !== startedAt) continue;
      endGroup(pid);
      ended += 1;
    }
    rmSync(this.path, { force: true });
    return ended;
  }

  add(pid: number): void {
    const startedAt = startTimeOf(pid);
    if (startedAt === undefined) return;
    this.live.set(pid, startedAt);
    this.appended += 1;
    if (this.appended > COMPACT_AFTER) this.compact();
    else this.attempt(() => appendFileSync(this.path, `${pid} ${startedAt}\n`, { mode: 0o600 }));
  }

  remove(pid: number): void {
    this.live.delete(pid);
  }

  private compact(): void {
    this.appended = this.live.size;
    const text = [...this.live].map(([pid, startedAt]) => `${pid} ${startedAt}\n`).join('');
    this.attempt(() => {
      writeFileSync(`${this.path}.new`, text, { mode: 0o600 });
      renameSync(`${this.path}.new`, this.path);
    });
  }

  /** A full disk must not keep slots from starting: what is not recorded still ends with its channel. */
  private attempt(write: () => void): void {
    try {
      write();
    } catch {
      this.appended = 0;
    }
  }
}

function readRecords(path: string): [pid: number, startedAt: string][] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  const records: [number, string][] = [];
  for (const line of text.split('\n')) {
    const [, pid, startedAt] = /^(\d+) (.+)$/.exec(line) ?? [];
    if (pid && startedAt && Number(pid) > 1) records.push([Number(pid), startedAt]);
  }
  return records;
}

/** When the process was started, in a form that only this machine's kernel understands; undefined where it has ended. */
function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform !== 'linux')
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
    // proc(5): field 22, counted behind the name, which may hold spaces and parentheses.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function endGroup(pid: number): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // Ended already, or no group leader.
    }
  }
}
