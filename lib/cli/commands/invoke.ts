import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import pc from 'picocolors';
import { jsonText, textOf } from '../arguments.js';
import type { Client } from '../client.js';
import { action, command } from '../command.js';
import { EXIT, usageError } from '../failure.js';
import { findFunction } from '../functions.js';
import { type LogLineView, logText } from '../log-lines.js';
import { type Output, printable } from '../output.js';

interface Options {
  file?: string;
  async?: boolean;
  wait?: boolean;
  key?: string;
  qualifier?: string;
  priority?: string;
  logs?: boolean;
}

interface ErrorView {
  type: string;
  message: string;
  stack?: string[];
}

interface Answer {
  requestId: string;
  status: string;
  result?: unknown;
  error?: ErrorView;
  durationMs: number;
  billedMs: number;
  coldStart: boolean;
  version: string;
}

interface Invocation {
  requestId: string;
  state: string;
  version: string | null;
  billedMs: number;
  result?: unknown;
  error?: ErrorView;
  attempts: { durationMs: number; coldStart: boolean; version: string }[];
}

export function invokeCommand(program: Command): void {
  command(program, 'invoke <function> [payload]', 'call a function and print its result')
    .option('-f, --file <path>', 'payload from a file (- is standard input)')
    .option('--async', 'only accept it: prints the request id')
    .option('--wait', 'with --async: wait for its end, retries included')
    .option('--key <key>', 'idempotency key: the same key and payload give the first answer again')
    .option('--qualifier <version>', 'a published version instead of the draft')
    .option('--priority <priority>', 'high, normal or low')
    .option('--logs', 'print what it logged, too')
    .addHelpText('after', '\nThe payload is JSON (default {}): fns invoke hello \'{"name":"World"}\', or - for standard input.')
    .action(
      action<Options, [string, string | undefined]>(async ({ api, out }, name, payload, options) =>
        invoke(api, out, name, payload, options),
      ),
    );
}

async function invoke(api: Client, out: Output, name: string, payload: string | undefined, options: Options): Promise<void> {
  if (options.wait && !options.async) throw usageError('--wait goes with --async: a call without it waits anyway.');
  const text = payloadOf(payload, options.file);
  const { functionId } = await findFunction(api, name);
  const settings = Object.entries({ qualifier: options.qualifier, priority: options.priority }).filter(([, value]) => value !== undefined);
  const rest = settings.map(([field, value]) => `,${JSON.stringify(field)}:${JSON.stringify(value)}`).join('');
  const answer = await api.send('POST', `/functions/${functionId}/invoke`, {
    query: options.async ? undefined : { mode: 'sync' },
    body: `{"payload":${text}${rest}}`,
    headers: options.key === undefined ? undefined : { 'idempotency-key': options.key },
  });
  const replayed = answer.headers.get('idempotency-replayed') === 'true';
  const told = (await answer.json()) as Answer;
  if (answer.status === 202) {
    if (!options.async) out.note('It runs longer than a caller may wait; waiting for its end …');
    if (options.async && !options.wait) return out.result(told, () => told.requestId);
    return finish(api, out, await ended(api, out, told.requestId), options);
  }
  await showLogs(api, out, functionId, told.requestId, options);
  show(out, told, told.status, [
    `${told.durationMs} ms`,
    `billed ${told.billedMs} ms`,
    ...(told.coldStart ? ['cold start'] : []),
    ...(replayed ? ['replayed answer'] : []),
  ]);
}

function payloadOf(payload: string | undefined, file: string | undefined): string {
  if (payload !== undefined && file !== undefined) throw usageError('Give the payload as an argument or with --file, not both.');
  const from = file ?? (payload === '-' ? '-' : undefined);
  if (from !== undefined) return jsonText(textOf(from), from === '-' ? 'Standard input' : from);
  return payload === undefined ? '{}' : jsonText(payload, 'The payload');
}

const TERMINAL = new Set(['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'DEAD']);

async function ended(api: Client, out: Output, requestId: string): Promise<Invocation> {
  for (let waitMs = 50; ; waitMs = Math.min(1_000, waitMs * 1.5)) {
    const invocation = await api.get<Invocation>(`/invocations/${requestId}`);
    if (TERMINAL.has(invocation.state)) return invocation;
    out.progress(`${requestId} ${invocation.state}, attempts ${invocation.attempts.length} …`);
    await sleep(waitMs);
  }
}

async function finish(api: Client, out: Output, invocation: Invocation & { functionId?: string }, options: Options): Promise<void> {
  out.progress('');
  if (invocation.functionId) await showLogs(api, out, invocation.functionId, invocation.requestId, options);
  show(out, invocation, invocation.state, [`attempts ${invocation.attempts.length}`, `billed ${invocation.billedMs} ms`]);
}

async function showLogs(api: Client, out: Output, functionId: string, requestId: string, { logs }: Options): Promise<void> {
  if (!logs) return;
  for await (const line of api.list<LogLineView>(`/functions/${functionId}/logs`, { requestId })) out.note(logText(line));
}

/** A stack begins with type and message in Node.js, and with neither in Python: they are told once. */
function errorText({ type, message, stack = [] }: ErrorView): string {
  const head = `${type}: ${message}`;
  const told = stack.join('\n');
  return told.startsWith(head) ? told : [head, ...stack].join('\n');
}

function show(out: Output, answer: Answer | Invocation, status: string, remarks: string[]): void {
  const isGood = status === 'SUCCEEDED';
  out.note(
    `${isGood ? pc.green(status) : pc.red(status)} ${pc.dim(`${remarks.join(', ')}, version ${answer.version}, ${answer.requestId}`)}`,
  );
  if (answer.error) out.note(pc.red(printable(errorText(answer.error))));
  out.result(answer, () => (isGood ? JSON.stringify(answer.result ?? null, null, 2) : ''));
  if (!isGood) process.exitCode = EXIT.failed;
}
