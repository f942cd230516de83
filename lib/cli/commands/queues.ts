import type { Command } from 'commander';
import { textOf } from '../arguments.js';
import { action, type Context, command } from '../command.js';
import { usageError } from '../failure.js';
import { table } from '../output.js';

/** The platform takes so many a call. */
const MESSAGES_PER_CALL = 1_000;

interface Options {
  lines?: string;
  id?: string;
  group?: string;
}

interface QueueView {
  name: string;
  depth: number;
  inFlight: number;
  oldestAgeMs: number;
}

export function queueCommands(program: Command): void {
  const queue = program.command('queue').description('queues of FNS');
  command(queue, 'ls', 'list queues, and what waits in them').action(
    action<object, []>(async ({ api, out }) => {
      const items = await api.all<QueueView>('/queues');
      out.result(items, () => queueTable(items));
    }),
  );
  command(queue, 'send <queue> [bodies...]', 'send messages; the queue is made on first use')
    .option('--lines <path>', 'each line of a file is a message (- is standard input)')
    .option('--id <id>', 'of a single message: the same id runs once in 24 h')
    .option('--group <group>', 'messages of a group are handed out in order')
    .action(action<Options, [string, string[]]>(send));
}

const queueTable = (items: QueueView[]): string =>
  table(
    items,
    [
      ['QUEUE', (each) => each.name],
      ['WAITING', (each) => each.depth, 'right'],
      ['IN FLIGHT', (each) => each.inFlight, 'right'],
      ['OLDEST', (each) => `${Math.round(each.oldestAgeMs / 1000)} s`, 'right'],
    ],
    'No queues. One is made on first use: fns queue send orders \'{"id":1}\'',
  );

async function send({ api, out }: Context, queue: string, given: string[], { lines, id, group }: Options): Promise<void> {
  const more =
    lines === undefined
      ? []
      : textOf(lines)
          .split(/\r?\n/)
          .filter((line) => line !== '');
  const bodies = [...given, ...more];
  if (bodies.length === 0) throw usageError('No message to send.', 'fns queue send orders \'{"id":1}\', or --lines <file>.');
  if (id !== undefined && bodies.length > 1) throw usageError('--id goes with one message.');
  const messages = bodies.map((body) => ({ ...(id === undefined ? {} : { id }), body, ...(group === undefined ? {} : { group }) }));
  for (let at = 0; at < messages.length; at += MESSAGES_PER_CALL) {
    await api.call('POST', `/queues/${encodeURIComponent(queue)}/messages`, {
      body: { messages: messages.slice(at, at + MESSAGES_PER_CALL) },
    });
    out.progress(`${Math.min(at + MESSAGES_PER_CALL, messages.length)} of ${messages.length} sent …`);
  }
  out.progress('');
  out.result({ queue, sent: messages.length }, () => `${messages.length} sent to ${queue}`);
}
