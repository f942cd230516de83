import type { Command } from 'commander';
import { timeArgument, whole } from '../arguments.js';
import { action, command } from '../command.js';
import { usageError } from '../failure.js';
import { type Output, table } from '../output.js';

interface Quotas {
  concurrency: number;
  backlogItems: number;
  backlogBytes: number;
}

interface Tenant {
  tenantId: string;
  displayName: string;
  state: string;
  quotas: Quotas;
  createdAt: string;
  ownerKey?: Key;
}

interface Key {
  keyId: string;
  tenantId: string;
  name: string;
  role: string;
  admin: boolean;
  expiresAt?: string;
  key?: string;
}

export function tenancyCommands(program: Command): void {
  tenantCommands(program.command('tenant').description('tenants of the platform (platform admin)'));
  keyCommands(program.command('key').description('keys of this tenant'));
  quotaCommands(program.command('quota').description('limits of a tenant'));
  namespaceCommands(program.command('namespace').description("a tenant's folders of functions"));
}

function tenantCommands(tenant: Command): void {
  command(tenant, 'ls', 'list tenants').action(
    action<object, []>(async ({ api, out }) => {
      const items = await api.all<Tenant>('/tenants');
      out.result(items, () =>
        table(
          items,
          [
            ['TENANT', (each) => each.tenantId],
            ['NAME', (each) => each.displayName],
            ['STATE', (each) => each.state],
            ['CONCURRENCY', (each) => each.quotas.concurrency, 'right'],
            ['CREATED', (each) => each.createdAt],
          ],
          'No tenants.',
        ),
      );
    }),
  );
  command(tenant, 'add <tenantId>', 'make a tenant; prints the key of its owner')
    .option('--name <name>', 'shown to people')
    .action(
      action<{ name?: string }, [string]>(async ({ api, out }, tenantId, { name }) => {
        const made = await api.call<Tenant>('POST', '/tenants', { body: { tenantId, displayName: name } });
        out.note(`Tenant ${tenantId} is there. Its owner's key, shown this once:`);
        out.result(made, () => made.ownerKey?.key ?? '');
      }),
    );
  for (const [verb, state, what] of [
    ['suspend', 'SUSPENDED', 'refuse all calls of a tenant'],
    ['activate', 'ACTIVE', 'take a tenant back'],
  ] as const) {
    command(tenant, `${verb} <tenantId>`, what).action(
      action<object, [string]>(async ({ api, out }, tenantId) => {
        const changed = await api.call<Tenant>('PATCH', `/tenants/${encodeURIComponent(tenantId)}`, { body: { state } });
        out.result(changed, () => `${tenantId} is ${changed.state}`);
      }),
    );
  }
}

function showKey(out: Output, made: Key): void {
  out.note(`${made.keyId} (${made.role}). The key, shown this once:`);
  out.result(made, () => made.key ?? '');
}

function keyCommands(key: Command): void {
  command(key, 'ls', 'list keys, without their text').action(
    action<object, []>(async ({ api, out }) => {
      const items = await api.all<Key>('/keys');
      out.result(items, () =>
        table(
          items,
          [
            ['ID', (each) => each.keyId],
            ['NAME', (each) => each.name],
            ['ROLE', (each) => (each.admin ? `${each.role}, platform admin` : each.role)],
            ['EXPIRES', (each) => each.expiresAt ?? 'never'],
          ],
          'No keys.',
        ),
      );
    }),
  );
  command(key, 'add <name>', 'make a key')
    .option('--role <role>', 'owner, developer, invoker, viewer or billing', 'developer')
    .option('--tenant <tenantId>', 'of another tenant (platform admin)')
    .option('--expires <time>', 'when it ends', timeArgument())
    .action(
      action<{ role: string; tenant?: string; expires?: string }, [string]>(async ({ api, out }, name, { role, tenant, expires }) => {
        showKey(out, await api.call<Key>('POST', '/keys', { body: { name, role, tenantId: tenant, expiresAt: expires } }));
      }),
    );
  command(key, 'rotate <keyId>', 'a new key in place of this one')
    .option('--grace-sec <sec>', 'the old one works so long still', whole(0), 0)
    .action(
      action<{ graceSec: number }, [string]>(async ({ api, out }, keyId, { graceSec }) => {
        showKey(out, await api.call<Key>('POST', `/keys/${encodeURIComponent(keyId)}/rotate`, { body: { graceSec } }));
      }),
    );
  command(key, 'rm <keyId>', 'delete a key: it is refused at once').action(
    action<object, [string]>(async ({ api, out }, keyId) => {
      await api.call('DELETE', `/keys/${encodeURIComponent(keyId)}`);
      out.result({ keyId, deleted: true }, () => `${keyId} is deleted`);
    }),
  );
}

const quotaText = ({ concurrency, backlogItems, backlogBytes }: Quotas): string =>
  [`concurrency    ${concurrency}`, `backlog items  ${backlogItems}`, `backlog bytes  ${backlogBytes}`].join('\n');

function quotaCommands(quota: Command): void {
  command(quota, 'get [tenantId]', 'show quotas: the own ones unless told otherwise').action(
    action<object, [string | undefined]>(async ({ api, out }, tenantId) => {
      const quotas =
        tenantId === undefined
          ? await api.get<Quotas>('/quotas')
          : (await api.get<Tenant>(`/tenants/${encodeURIComponent(tenantId)}`)).quotas;
      out.result(quotas, () => quotaText(quotas));
    }),
  );
  command(quota, 'set <tenantId>', 'change quotas of a tenant (platform admin)')
    .option('--concurrency <count>', 'invocations running at once', whole(0))
    .option('--backlog-items <count>', 'accepted and not yet run', whole(0))
    .option('--backlog-bytes <bytes>', 'of their payloads', whole(0))
    .action(
      action<Partial<Quotas>, [string]>(async ({ api, out }, tenantId, { concurrency, backlogItems, backlogBytes }) => {
        const body = { concurrency, backlogItems, backlogBytes };
        if (Object.values(body).every((value) => value === undefined))
          throw usageError('Nothing to change.', `Say what: fns quota set ${tenantId} --concurrency 20`);
        const quotas = await api.call<Quotas>('PUT', `/tenants/${encodeURIComponent(tenantId)}/quotas`, { body });
        out.result(quotas, () => quotaText(quotas));
      }),
    );
}

interface Namespace {
  name: string;
  createdAt: string;
}

function namespaceCommands(namespace: Command): void {
  command(namespace, 'ls', 'list namespaces').action(
    action<object, []>(async ({ api, out }) => {
      const items = await api.all<Namespace>('/namespaces');
      const columns = [['NAME', (each: Namespace) => each.name] as const, ['CREATED', (each: Namespace) => each.createdAt] as const];
      out.result(items, () =>
        table(
          items,
          columns.map(([title, of]) => [title, of]),
          'No namespaces.',
        ),
      );
    }),
  );
  command(namespace, 'add <name>', 'make a namespace').action(
    action<object, [string]>(async ({ api, out }, name) => {
      const made = await api.call<Namespace>('POST', '/namespaces', { body: { name } });
      out.result(made, () => `namespace ${made.name}`);
    }),
  );
  command(namespace, 'rm <name>', 'delete an empty namespace').action(
    action<object, [string]>(async ({ api, out }, name) => {
      await api.call('DELETE', `/namespaces/${encodeURIComponent(name)}`);
      out.result({ name, deleted: true }, () => `${name} is deleted`);
    }),
  );
}
