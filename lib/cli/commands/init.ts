import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import pc from 'picocolors';
import { runtimesOnPlatform } from '../client.js';
import { connection, packageRoot } from '../connection.js';
import { usageError } from '../failure.js';
import { output } from '../output.js';
import { closest } from '../project/closest.js';
import { PROJECT_FILE } from '../project/read.js';

/** Templates are the examples, so that tests run what newcomers start from. */
const TEMPLATES: Record<string, { example: string; what: string }> = {
  node: { example: 'hello-node', what: 'a greeting in JavaScript' },
  python: { example: 'hello-python', what: 'a greeting in Python' },
  typescript: { example: 'hello-typescript', what: 'a greeting in TypeScript, bundled at deploy' },
  'http-api': { example: 'http-api', what: 'a web API whose answer is an image' },
  'queue-worker': { example: 'queue-worker', what: 'works a queue off, with partial batch failures' },
  cron: { example: 'cron-job', what: 'runs every minute' },
  'coupon-calc': { example: 'coupon-calc', what: 'a discount calculator with an idempotent route' },
};

export function initCommand(program: Command): void {
  program
    .command('init [folder]')
    .description('make a project with a function')
    .option('-t, --template <name>', Object.keys(TEMPLATES).join(', '), 'node')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nTemplates:\n${Object.entries(TEMPLATES)
        .map(([name, { what }]) => `  ${name.padEnd(14)}${what}`)
        .join('\n')}`,
    )
    .action(async (folder: string | undefined, { template, json }: { template: string; json?: boolean }) => {
      const here = await runtimesHere();
      const made = init(resolve(folder ?? '.'), template, here);
      const inside = relative(process.cwd(), made.folder);
      output(json === true).result(made, () =>
        [
          `${pc.green('✓')} ${made.files.join(', ')} in ${inside || '.'}`,
          '',
          'Next:',
          ...(inside ? [`  cd ${quoted(inside)}`] : []),
          `  ${asTyped('dev')}       deploy, watch and show logs`,
          `  ${asTyped('deploy')}    deploy once`,
        ].join('\n'),
      );
    });
}

/** For a shell. */
const quoted = (text: string): string => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** As this command was called: who typed `npx fns` may not have `fns` on the PATH. */
const asTyped = (rest: string): string => `${process.env.npm_command === 'exec' ? 'npx fns' : 'fns'} ${rest}`;

/** Asked of the platform, where one answers: it looks for interpreters with its own eyes. Else the Node.js that runs this. */
async function runtimesHere(): Promise<string[]> {
  const own = [`nodejs${process.versions.node.split('.')[0]}`];
  return (await runtimesOnPlatform(connection({}, process.env, process.cwd()).url)) ?? own;
}

/** The template's own runtime if it is here, else the first of the same language: what `init` makes must run where it was made. */
function fittingRuntime(named: string, here: readonly string[]): string {
  const language = named.replace(/[\d.]+$/, '');
  return here.includes(named) ? named : (here.find((each) => each.startsWith(language)) ?? named);
}

/** Copies the template; its function takes the folder's name. Nothing that is there is overwritten. */
export function init(folder: string, template: string, here: readonly string[]): { folder: string; template: string; files: string[] } {
  const chosen = Object.hasOwn(TEMPLATES, template) ? TEMPLATES[template] : undefined;
  if (!chosen) {
    const near = closest(template, Object.keys(TEMPLATES));
    throw usageError(
      `There is no template '${template}'.`,
      near ? `Did you mean '${near}'?` : `There are ${Object.keys(TEMPLATES).join(', ')}.`,
    );
  }
  const from = join(packageRoot(), 'examples', chosen.example);
  const files = readdirSync(from).filter((name) => name !== '.fns');
  const taken = files.find((name) => existsSync(join(folder, name)));
  if (taken) throw usageError(`${join(folder, taken)} is there already; nothing was changed.`, 'Choose another folder: fns init <folder>');
  mkdirSync(folder, { recursive: true });
  for (const file of files) cpSync(join(from, file), join(folder, file), { recursive: true });
  const name = functionName(basename(folder));
  for (const file of [PROJECT_FILE, 'README.md']) {
    const path = join(folder, file);
    if (!existsSync(path)) continue;
    const text = readFileSync(path, 'utf8').replaceAll(chosen.example, name);
    writeFileSync(
      path,
      text.replaceAll(/(runtime: )(\S+)/g, (_, field, runtime) => field + fittingRuntime(runtime, here)),
    );
  }
  return { folder, template, files };
}

/** A folder's name as a function's. */
const functionName = (folder: string): string =>
  folder
    .replace(/[^a-zA-Z0-9-_]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64) || 'hello';
