import type { Command } from 'commander';
import { jsonText, repeated, whole } from '../arguments.js';
import { action, type Context, command } from '../command.js';
import { usageError } from '../failure.js';
import { findFunction } from '../functions.js';
import { table } from '../output.js';
import type { TriggerView } from '../project/triggers.js';

interface AddOptions {
  path?: string;
  method?: string[];
  auth?: string;
  cors?: boolean;
  schedule?: string;
  timezone?: string;
  input?: string;
  queue?: string;
  queueUrl?: string;
  batchSize?: number;
  batchWindowMs?: number;
}

export function triggerCommands(program: Command): void {
  const trigger = program.command('trigger').description('what calls a function: routes, schedules, queues');
  command(trigger, 'ls <function>', 'list the triggers of a function').action(
    action<object, [string]>(async ({ api, out }, name) => {
      const { functionId } = await findFunction(api, name);
      const items = await api.all<TriggerView>(`/functions/${functionId}/triggers`);
      out.result(items, () => triggerTable(items));
    }),
  );
  command(trigger, 'add <function> <type> [what]', 'add a trigger: http, cron or queue; what: its path, schedule or queue')
    .option('--path <path>', 'http: the route, as /hello/{name}')
    .option('--method <method>', 'http: GET, POST, … (may be repeated)', repeated)
    .option('--auth <auth>', 'http: key (default), none or jwt')
    .option('--cors', 'http: allow calls from pages of any origin')
    .option('--schedule <schedule>', "cron: '*/5 * * * *', 'cron(0 8 ? * MON-FRI *)', 'rate(5 minutes)'")
    .option('--timezone <zone>', 'cron: as Europe/Berlin (default UTC)')
    .option('--input <json>', 'cron: given to the handler as `input`')
    .option('--queue <name>', 'queue: a queue of FNS')
    .option('--queue-url <url>', 'queue: any SQS queue')
    .option('--batch-size <count>', 'queue: messages a call at most', whole(1))
    .option('--batch-window-ms <ms>', 'queue: how long to wait for a full batch', whole(0))
    .addHelpText('after', ADD_EXAMPLES)
    .action(
      action<AddOptions, [string, string, string | undefined]>((context, name, type, what, options) =>
        add(context, name, type, what === undefined ? options : { ...options, ...named(type, what) }),
      ),
    );
  command(trigger, 'rm <function> <triggerId>', 'remove a trigger').action(
    action<object, [string, string]>(async ({ api, out }, name, triggerId) => {
      const { functionId } = await findFunction(api, name);
      await api.call('DELETE', `/functions/${functionId}/triggers/${encodeURIComponent(triggerId)}`);
      out.result({ triggerId, deleted: true }, () => `${triggerId} is removed`);
    }),
  );
}

const ADD_EXAMPLES = `
Examples:
  fns trigger add hello http /hello/{name} --method GET --auth none
  fns trigger add report cron '0 6 * * *' --timezone Europe/Berlin
  fns trigger add worker queue orders --batch-size 10`;

/** The third argument is what most triggers are all about. */
const named = (type: string, what: string): AddOptions =>
  ({ http: { path: what }, cron: { schedule: what }, queue: /^https?:/.test(what) ? { queueUrl: what } : { queue: what } })[type] ?? {};

/** Which options a type has, and what it needs. */
const TYPES: Record<string, { needs: string; settings(options: AddOptions): Record<string, unknown> }> = {
  http: {
    needs: 'a path',
    settings: ({ path, method, auth, cors }) => ({
      path,
      methods: method?.map((each) => each.toUpperCase()),
      auth,
      cors: cors ? {} : undefined,
    }),
  },
  cron: {
    needs: 'a schedule',
    settings: ({ schedule, timezone, input }) => ({
      schedule,
      timezone,
      input: input === undefined ? undefined : JSON.parse(jsonText(input, '--input')),
    }),
  },
  queue: {
    needs: 'a queue',
    settings: ({ queue, queueUrl, batchSize, batchWindowMs }) => ({ queue, queueUrl, batchSize, batchWindowMs }),
  },
};

async function add({ api, out }: Context, name: string, type: string, options: AddOptions): Promise<void> {
  const known = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (!known) throw usageError(`'${type}' is no type of trigger.`, `There are ${Object.keys(TYPES).join(', ')}.`);
  const { path, schedule, queue, queueUrl } = options;
  if ({ http: path, cron: schedule, queue: queue ?? queueUrl }[type] === undefined)
    throw usageError(`A trigger of type ${type} needs ${known.needs}.`, '`fns trigger add --help` shows examples.');
  const { functionId } = await findFunction(api, name);
  const made = await api.call<TriggerView>('POST', `/functions/${functionId}/triggers`, { body: { type, ...known.settings(options) } });
  out.result(made, () => [`${made.triggerId} ${describe(made)}`, ...(made.nextRuns ?? []).map((run) => `  next ${run}`)].join('\n'));
}

function describe(trigger: TriggerView): string {
  const { type, path, url, methods, schedule, timezone, queue, queueUrl } = trigger as Record<string, unknown>;
  if (type === 'http') return `${Array.isArray(methods) ? methods.join(',') : ''} ${url ?? path}`.trim();
  return type === 'cron' ? `${schedule} ${timezone ?? ''}`.trim() : String(queue ?? queueUrl);
}

const triggerTable = (items: TriggerView[]): string =>
  table(
    items,
    [
      ['ID', (each) => each.triggerId],
      ['TYPE', (each) => each.type],
      ['STATE', (each) => each.state],
      ['WHAT', describe],
      ['NEXT', (each) => each.nextRuns?.[0]],
    ],
    'No triggers. Add one: fns trigger add <function> http /hello',
  );
