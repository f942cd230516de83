import type { Command } from 'commander';
import { action, command } from '../command.js';
import { findFunction } from '../functions.js';
import { table } from '../output.js';
import type { FunctionView } from '../project/deploy.js';

interface Version {
  version: number;
  description: string;
  codeSha256: string;
  createdAt: string;
}

export function functionCommands(program: Command): void {
  command(program, 'ls', 'list functions')
    .option('--namespace <name>', 'of this namespace only')
    .action(
      action<{ namespace?: string }, []>(async ({ api, out }, { namespace }) => {
        const items = await api.all<FunctionView>('/functions', { namespace });
        out.result(items, () => functionTable(items));
      }),
    );
  command(program, 'publish <function>', 'publish the draft as the next immutable version')
    .option('--description <text>', 'what is new in it')
    .action(
      action<{ description?: string }, [string]>(async ({ api, out }, name, { description }) => {
        const { functionId } = await findFunction(api, name);
        const version = await api.call<Version>('POST', `/functions/${functionId}/versions`, { body: { description } });
        out.result(version, () => `${name} version ${version.version}`);
      }),
    );
  command(program, 'versions <function>', 'list published versions').action(
    action<object, [string]>(async ({ api, out }, name) => {
      const { functionId } = await findFunction(api, name);
      const items = await api.all<Version>(`/functions/${functionId}/versions`);
      out.result(items, () =>
        table(
          items,
          [
            ['VERSION', (v) => v.version, 'right'],
            ['CREATED', (v) => v.createdAt],
            ['CODE', (v) => v.codeSha256.slice(0, 12)],
            ['DESCRIPTION', (v) => v.description],
          ],
          'No version was published yet: fns publish, or fns deploy.',
        ),
      );
    }),
  );
  command(program, 'rm <function>', 'delete a function with its versions and triggers')
    .option('--yes', 'really')
    .action(
      action<{ yes?: boolean }, [string]>(async ({ api, out }, name, { yes }) => {
        const { functionId, namespace } = await findFunction(api, name);
        if (!yes) {
          out.note(`This deletes ${namespace}/${name} (${functionId}) with all versions and triggers. Repeat with --yes.`);
          process.exitCode = 2;
          return;
        }
        await api.call('DELETE', `/functions/${functionId}`);
        out.result({ functionId, deleted: true }, () => `${name} is deleted`);
      }),
    );
}

const functionTable = (items: FunctionView[]): string =>
  table(
    items,
    [
      ['NAME', (fn) => (fn.namespace === 'default' ? fn.name : `${fn.namespace}/${fn.name}`)],
      ['RUNTIME', (fn) => fn.runtime],
      ['MEMORY', (fn) => `${fn.memoryMb} MB`, 'right'],
      ['TIMEOUT', (fn) => `${fn.timeoutSec} s`, 'right'],
      ['STATUS', statusOf],
      ['VERSION', (fn) => (fn.lastVersion ? String(fn.lastVersion) : '-'), 'right'],
      ['UPDATED', (fn) => fn.updatedAt],
      ['ID', (fn) => fn.functionId],
    ],
    'No functions yet. Make a project with `fns init <folder>`, then `fns deploy` there.',
  );

function statusOf(fn: FunctionView): string {
  if (fn.state === 'DISABLED') return 'DISABLED';
  if (fn.status === 'ACTIVE' && fn.codeSha256 === null) return 'NO CODE';
  return fn.status;
}
