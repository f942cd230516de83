import type { Command } from 'commander';
import { timeArgument, whole } from '../arguments.js';
import type { Page } from '../client.js';
import { action, command } from '../command.js';
import { findFunction } from '../functions.js';
import { followLogs, type LogLineView, logText } from '../log-lines.js';

interface Options {
  follow?: boolean;
  request?: string;
  from?: string;
  to?: string;
  grep?: string;
  limit: number;
}

const PAGE = 1000;

export function logsCommand(program: Command): void {
  command(program, 'logs <function>', 'print what a function logged: the last lines, or those that are asked for')
    .option('-f, --follow', 'go on with new lines, until Ctrl-C')
    .option('--request <id>', 'of this request only')
    .option('--from <time>', 'from then on: 2026-01-31T12:00:00Z, or so long ago: 10m, 2h, 3d', timeArgument())
    .option('--to <time>', 'until then', timeArgument())
    .option('-g, --grep <text>', 'lines with this text')
    .option('-n, --limit <count>', 'the last so many lines', whole(1), 100)
    .addHelpText('after', '\nWith --json each line is a JSON document of its own.')
    .action(
      action<Options, [string]>(async ({ api, out, interrupted }, name, { follow, request, from, to, grep, limit }) => {
        const { functionId } = await findFunction(api, name);
        const show = (line: LogLineView): void => out.line(out.json ? JSON.stringify(line) : logText(line));
        const query = { requestId: request, q: grep };
        if (follow) return followLogs(api, functionId, { ...query, from }, interrupted(), show);
        const lines = await newest(
          (cursor, count) => api.get(`/functions/${functionId}/logs`, { ...query, from, to, order: 'desc', limit: count, cursor }),
          limit,
        );
        for (const line of lines.reverse()) show(line);
        if (lines.length === 0) out.note('Nothing was logged.');
      }),
    );
}

/** The last lines, newest first: a page may come short before the end is reached. */
async function newest(
  page: (cursor: string | undefined, count: number) => Promise<Page<LogLineView>>,
  limit: number,
): Promise<LogLineView[]> {
  const lines: LogLineView[] = [];
  for (let cursor: string | undefined; lines.length < limit; ) {
    const { items, nextCursor } = await page(cursor, Math.min(PAGE, limit - lines.length));
    lines.push(...items);
    if (nextCursor === undefined) break;
    cursor = nextCursor;
  }
  return lines;
}
