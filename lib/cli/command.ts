import type { Command } from 'commander';
import { Client } from './client.js';
import { connection } from './connection.js';
import { type Output, output } from './output.js';

/** What every command works with. */
export interface Context {
  api: Client;
  out: Output;
  cwd: string;
  /** From now on Ctrl-C aborts this signal instead of ending the process. */
  interrupted(): AbortSignal;
}

interface CommonOptions {
  url?: string;
  apiKey?: string;
  json?: boolean;
}

/** A command that talks to the platform: with the options that all of them have. */
export function command(parent: Command, usage: string, description: string): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--url <url>', 'the platform (else FNS_URL, else the one on this machine)')
    .option('--api-key <key>', 'the key (else FNS_API_KEY, else .fns/credentials.json)')
    .option('--json', 'print JSON');
}

/** Makes an action of a function that gets the context first, then the arguments, then the options. */
export function action<Options, Arguments extends unknown[]>(run: (context: Context, ...rest: [...Arguments, Options]) => Promise<void>) {
  return async (...given: unknown[]): Promise<void> => {
    const [args, options] = [given.slice(0, -2) as Arguments, given.at(-2) as Options & CommonOptions];
    const cwd = process.cwd();
    const api = new Client(connection(options, process.env, cwd));
    await run({ api, out: output(options.json === true), cwd, interrupted }, ...args, options);
  };
}

function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}
