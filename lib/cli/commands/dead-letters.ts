import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { timeArgument, whole } from '../arguments.js';
import { action, type Context, command } from '../command.js';
import { EXIT, usageError } from '../failure.js';
import { findFunction } from '../functions.js';
import { table } from '../output.js';

interface Filter {
  from?: string;
  to?: string;
  errorType?: string;
  reason?: string;
}

interface DeadLetter {
  requestId: string;
  reason: string;
  attempts: number;
  lastError?: { type: string; message: string };
  deadAt: string;
}

interface Replay {
  replayId: string;
  matched: number;
  replayed: number;
  healed: number;
  failed: number;
  done: boolean;
}

const filtered = (named: Command): Command =>
  named
    .option('--from <time>', 'died then or later (a time, or 10m, 2h, 3d ago)', timeArgument())
    .option('--to <time>', 'died before', timeArgument())
    .option('--error-type <type>', 'whose last error was of this type')
    .option('--reason <reason>', 'max_retries, max_age, platform_fault, poison, …');

export function deadLetterCommands(program: Command): void {
  const dlq = program.command('dlq').description('dead letters: asynchronous invocations that came to no good end');
  filtered(command(dlq, 'ls <function>', 'list dead letters'))
    .option('-n, --limit <count>', 'so many at most', whole(1), 100)
    .action(
      action<Filter & { limit: number }, [string]>(async ({ api, out }, name, { limit, from, to, errorType, reason }) => {
        const { functionId } = await findFunction(api, name);
        const items = await api.all<DeadLetter>(`/functions/${functionId}/dead-letters`, { from, to, errorType, reason }, limit);
        out.result(items, () => letterTable(items));
      }),
    );
  filtered(command(dlq, 'replay <function> [requestIds...]', 'run dead letters again, and wait for how they end'))
    .option('--all', 'all that the filter matches')
    .option('--rate <perSec>', 'so many a second', whole(1))
    .option('--no-wait', 'do not wait')
    .action(action<Filter & { all?: boolean; rate?: number; wait: boolean }, [string, string[]]>(replay));
}

const ERROR_WIDTH = 100;

function firstLine(text: string): string {
  const line = text.split('\n', 1)[0] as string;
  return line.length > ERROR_WIDTH ? `${line.slice(0, ERROR_WIDTH - 1)}…` : line;
}

const letterTable = (items: DeadLetter[]): string =>
  table(
    items,
    [
      ['REQUEST', (each) => each.requestId],
      ['DIED', (each) => each.deadAt],
      ['REASON', (each) => each.reason],
      ['ATTEMPTS', (each) => each.attempts, 'right'],
      ['LAST ERROR', ({ lastError }) => (lastError ? firstLine(`${lastError.type}: ${lastError.message}`) : '')],
    ],
    'No dead letters.',
  );

async function replay(
  { api, out }: Context,
  name: string,
  requestIds: string[],
  { all, rate, wait, from, to, errorType, reason }: Filter & { all?: boolean; rate?: number; wait: boolean },
): Promise<void> {
  const filter = { from, to, errorType, reason, requestIds: requestIds.length > 0 ? requestIds : undefined };
  const isNarrow = Object.values(filter).some((value) => value !== undefined);
  if (!isNarrow && !all)
    throw usageError('Say which dead letters to replay: request ids, a filter (--reason, --error-type, --from, --to), or --all.');
  const { functionId } = await findFunction(api, name);
  let progress = await api.call<Replay>('POST', `/functions/${functionId}/dead-letters/replay`, { body: { filter, ratePerSec: rate } });
  const { replayId, matched } = progress;
  for (let waitMs = 50; wait && matched > 0 && !progress.done; waitMs = Math.min(1_000, waitMs * 1.5)) {
    await sleep(waitMs);
    progress = await api.get<Replay>(`/replays/${replayId}`);
    out.progress(`${progress.replayed} of ${matched} replayed, ${progress.healed} healed, ${progress.failed} dead again …`);
  }
  out.progress('');
  out.result({ ...progress, replayId, matched }, () => {
    if (matched === 0) return 'No dead letter matches.';
    return wait ? `${matched} replayed: ${progress.healed} healed, ${progress.failed} dead again` : `${matched} are replayed (${replayId})`;
  });
  if (progress.failed > 0) process.exitCode = EXIT.failed;
}
