import { Command } from 'commander';
import { billingCommands } from './commands/billing.js';
import { completionCommand } from './commands/completion.js';
import { deadLetterCommands } from './commands/dead-letters.js';
import { deployCommand } from './commands/deploy.js';
import { devCommand } from './commands/dev.js';
import { doctorCommand } from './commands/doctor.js';
import { functionCommands } from './commands/functions.js';
import { initCommand } from './commands/init.js';
import { invokeCommand } from './commands/invoke.js';
import { logsCommand } from './commands/logs.js';
import { queueCommands } from './commands/queues.js';
import { tenancyCommands } from './commands/tenancy.js';
import { triggerCommands } from './commands/triggers.js';

const HELP = `
Start:
  fns init my-function        a project from a template
  fns dev                     deploy, watch, show logs
  fns invoke my-function '{"name":"World"}'

Where the platform is: --url, else FNS_URL, else http://127.0.0.1:8787 (FNS_PORT).
Who calls: --api-key, else FNS_API_KEY, else .fns/credentials.json of the platform on this machine
(in this folder or above it, or in FNS_DATA_DIR).

Exit codes:
  0  done
  1  the function failed, or the platform refused
  2  wrong usage: arguments, fns.yaml
  3  no platform answers
  4  the key is missing, unknown, or may not do this
  130  Ctrl-C (0 where it is the way to end: dev, logs --follow)`;

/** All commands of `fns`. */
export function fnsProgram(version: string): Command {
  const program = new Command('fns')
    .description('FNS: deploy, call and look after functions')
    .version(version)
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'fns: ')) })
    .exitOverride()
    .addHelpText('after', HELP);
  initCommand(program);
  devCommand(program);
  deployCommand(program);
  invokeCommand(program);
  logsCommand(program);
  functionCommands(program);
  triggerCommands(program);
  queueCommands(program);
  deadLetterCommands(program);
  billingCommands(program);
  tenancyCommands(program);
  doctorCommand(program);
  completionCommand(program);
  return program;
}
