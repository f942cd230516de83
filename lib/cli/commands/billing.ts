import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { timeArgument } from '../arguments.js';
import { action, type Context, command } from '../command.js';
import { usageError } from '../failure.js';
import { table } from '../output.js';
import type { FunctionView } from '../project/deploy.js';

interface Used {
  key: string;
  requests: number;
  billedMs: number | string;
  gbSec: string;
  amount: string;
}

interface Usage {
  items: Used[];
  total: Omit<Used, 'key'>;
  currency: string;
}

interface Invoice {
  invoiceId: string;
  month: string;
  status: string;
  currency: string;
  lines: { description: string; quantity: string; unit: string; unitPrice: string; amount: string }[];
  total: string;
}

export function billingCommands(program: Command): void {
  command(program, 'usage', 'what was used and what it costs, this month unless told otherwise')
    .option('--from <time>', 'from then on', timeArgument())
    .option('--to <time>', 'until then', timeArgument())
    .option('--group-by <what>', 'function, day or version', 'function')
    .action(action<{ from?: string; to?: string; groupBy: string }, []>(usage));
  command(program, 'invoice [month]', 'an invoice (2026-01; the running month unless told otherwise), or all with --list')
    .option('--list', 'list invoices')
    .option('--csv <path>', 'write it as CSV (- is standard output)')
    .option('--pdf <path>', 'write it as PDF')
    .action(action<{ list?: boolean; csv?: string; pdf?: string }, [string | undefined]>(invoice));
}

async function usage({ api, out }: Context, { from, to, groupBy }: { from?: string; to?: string; groupBy: string }): Promise<void> {
  const used = await api.get<Usage>('/usage', { from, to, groupBy });
  const names = groupBy === 'function' && !out.json ? await namesOf(api) : new Map<string, string>();
  const title = ({ key }: Used): string => names.get(key) ?? key;
  const sorted = used.items.toSorted((a, b) => title(a).localeCompare(title(b)));
  out.result(used, () =>
    table<Used>(
      [...sorted, { key: 'total', ...used.total }],
      [
        [groupBy.toUpperCase(), title],
        ['REQUESTS', (each) => each.requests, 'right'],
        ['BILLED MS', (each) => each.billedMs, 'right'],
        ['GB-S', (each) => each.gbSec, 'right'],
        [used.currency, (each) => each.amount, 'right'],
      ],
      '',
    ),
  );
}

async function namesOf(api: Context['api']): Promise<Map<string, string>> {
  const functions = await api.all<FunctionView>('/functions').catch(() => []);
  return new Map(functions.map(({ functionId, namespace, name }) => [functionId, namespace === 'default' ? name : `${namespace}/${name}`]));
}

async function invoice(
  { api, out }: Context,
  month: string | undefined,
  { list, csv, pdf }: { list?: boolean; csv?: string; pdf?: string },
): Promise<void> {
  if (list) {
    const items = await api.all<Invoice>('/invoices', undefined, 100);
    return out.result(items, () =>
      table(
        items,
        [
          ['MONTH', (each) => each.month],
          ['STATUS', (each) => each.status],
          ['TOTAL', (each) => `${each.total} ${each.currency}`, 'right'],
          ['ID', (each) => each.invoiceId],
        ],
        'No invoices.',
      ),
    );
  }
  if (csv !== undefined && pdf !== undefined) throw usageError('Give --csv or --pdf, not both.');
  const path = `/invoices/${encodeURIComponent(month ?? new Date().toISOString().slice(0, 7))}`;
  const file = csv ?? pdf;
  if (file === undefined) return show(out, await api.get<Invoice>(path));
  const answer = await api.send('GET', path, { headers: { accept: csv === undefined ? 'application/pdf' : 'text/csv' } });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (file === '-') {
    process.stdout.write(bytes);
    return;
  }
  writeFileSync(file, bytes);
  out.result({ file, bytes: bytes.length }, () => `${file} (${bytes.length} bytes)`);
}

function show(out: Context['out'], found: Invoice): void {
  out.result(found, () =>
    [
      `${found.invoiceId}  ${found.month}  ${found.status}`,
      table(
        found.lines,
        [
          ['DESCRIPTION', (line) => line.description],
          ['QUANTITY', (line) => `${line.quantity} ${line.unit}${line.quantity === '1' ? '' : 's'}`, 'right'],
          ['PRICE', (line) => line.unitPrice, 'right'],
          ['AMOUNT', (line) => line.amount, 'right'],
        ],
        'Nothing was used.',
      ),
      `total ${found.total} ${found.currency}`,
    ].join('\n'),
  );
}
