import { createRoute, z } from '@hono/zod-openapi';
import { rfc3339 } from '../core/clock.js';
import { DEFAULTS } from '../core/defaults.js';
import { type ApiKey, type Namespace, ROLES, type Tenant } from '../core/tenancy/model.js';
import type { ShownKey } from '../core/tenancy/service.js';
import { type Api, needs } from './api.js';
import { name, strict, time, timeText, whole } from './schemas/fields.js';
import { pageOf, pageQuery } from './schemas/page.js';
import { json, jsonBody, refused } from './schemas/responses.js';
import type { Services } from './services.js';

const displayName = z.string().min(1).max(100);
const quotaFields = {
  concurrency: whole(0, 100_000).optional(),
  backlogItems: whole(0, 100_000_000).optional(),
  backlogBytes: whole(0, 1024 * DEFAULTS.backlogBytes).optional(),
};
const quotasSchema = z.object({ concurrency: z.int(), backlogItems: z.int(), backlogBytes: z.int() }).openapi('Quotas');
const tenantSchema = z
  .object({
    tenantId: z.string(),
    displayName: z.string(),
    state: z.enum(['ACTIVE', 'SUSPENDED']),
    quotas: quotasSchema,
    createdAt: timeText,
  })
  .openapi('Tenant');
const keySchema = z
  .object({
    keyId: z.string(),
    tenantId: z.string(),
    name: z.string(),
    role: z.enum(ROLES),
    admin: z.boolean(),
    createdAt: timeText,
    expiresAt: timeText.optional(),
  })
  .openapi('Key');
const shownKeySchema = keySchema
  .extend({ key: z.string().openapi({ description: 'Shown this once: only its digest is kept.' }) })
  .openapi('NewKey');
const namespaceSchema = z.object({ name: z.string(), createdAt: timeText }).openapi('Namespace');

const presentTenant = ({ createdAt, ...rest }: Tenant) => ({ ...rest, createdAt: rfc3339(createdAt) });
const presentKey = ({ keyId, tenantId, name: label, role, admin, createdAt, expiresAt }: ApiKey) => ({
  ...{ keyId, tenantId, name: label, role, admin, createdAt: rfc3339(createdAt) },
  ...(expiresAt === undefined ? {} : { expiresAt: rfc3339(expiresAt) }),
});
const presentShown = ({ key, secret }: ShownKey) => ({ ...presentKey(key), key: secret });
const presentNamespace = ({ name: label, createdAt }: Namespace) => ({ name: label, createdAt: rfc3339(createdAt) });

export function tenancyRoutes(app: Api, services: Services): void {
  tenantRoutes(app, services);
  quotaRoutes(app, services);
  keyRoutes(app, services);
  namespaceRoutes(app, services);
}

const tenantParam = z.object({ tenantId: z.string() });
const admin = needs('admin');

const createTenant = createRoute({
  method: 'post',
  path: '/tenants',
  tags: ['tenants'],
  summary: 'Create a tenant with its first key',
  description: 'Platform admin only. Refused where the sandbox tier of this machine cannot keep tenants apart (FNS_409_TIER).',
  middleware: admin,
  request: {
    body: jsonBody(strict({ tenantId: z.string().max(100), displayName: displayName.optional(), quotas: strict(quotaFields).optional() })),
  },
  responses: { 201: json(tenantSchema.extend({ ownerKey: shownKeySchema }), 'The tenant; `ownerKey.key` is shown this once.'), ...refused },
});
const listTenants = createRoute({
  method: 'get',
  path: '/tenants',
  tags: ['tenants'],
  summary: 'List tenants',
  middleware: admin,
  request: { query: pageQuery },
  responses: { 200: json(pageOf(tenantSchema), 'One page.'), ...refused },
});
const getTenant = createRoute({
  method: 'get',
  path: '/tenants/{tenantId}',
  tags: ['tenants'],
  summary: 'One tenant',
  middleware: admin,
  request: { params: tenantParam },
  responses: { 200: json(tenantSchema, 'The tenant.'), ...refused },
});
const patchTenant = createRoute({
  method: 'patch',
  path: '/tenants/{tenantId}',
  tags: ['tenants'],
  summary: 'Rename, suspend or take back a tenant',
  middleware: admin,
  request: {
    params: tenantParam,
    body: jsonBody(strict({ displayName: displayName.optional(), state: z.enum(['ACTIVE', 'SUSPENDED']).optional() })),
  },
  responses: { 200: json(tenantSchema, 'As it is now.'), ...refused },
});
const putTenantQuotas = createRoute({
  method: 'put',
  path: '/tenants/{tenantId}/quotas',
  tags: ['tenants'],
  summary: 'Set quotas of a tenant',
  description: 'What is left out stays as it is.',
  middleware: admin,
  request: { params: tenantParam, body: jsonBody(strict(quotaFields)) },
  responses: { 200: json(quotasSchema, 'As they are now.'), ...refused },
});

function tenantRoutes(app: Api, { tenancy }: Services): void {
  app.openapi(createTenant, async (c) => {
    const made = await tenancy.createTenant(c.get('principal'), c.req.valid('json'));
    return c.json({ ...presentTenant(made.tenant), ownerKey: presentShown(made) }, 201, { 'cache-control': 'no-store' });
  });
  app.openapi(listTenants, async (c) => {
    const { items, nextCursor } = await tenancy.tenants(c.req.valid('query'));
    return c.json({ items: items.map(presentTenant), nextCursor }, 200);
  });
  app.openapi(getTenant, async (c) => c.json(presentTenant(await tenancy.tenant(c.req.valid('param').tenantId)), 200));
  app.openapi(patchTenant, async (c) =>
    c.json(presentTenant(await tenancy.changeTenant(c.get('principal'), c.req.valid('param').tenantId, c.req.valid('json'))), 200),
  );
  app.openapi(putTenantQuotas, async (c) =>
    c.json((await tenancy.setQuotas(c.get('principal'), c.req.valid('param').tenantId, c.req.valid('json'))).quotas, 200),
  );
}

const getQuotas = createRoute({
  method: 'get',
  path: '/quotas',
  tags: ['tenants'],
  summary: 'The quotas of the own tenant',
  middleware: needs('read'),
  responses: { 200: json(quotasSchema, 'The quotas.'), ...refused },
});
const putQuotas = createRoute({
  method: 'put',
  path: '/quotas',
  tags: ['tenants'],
  summary: 'Set the quotas of the own tenant',
  description: 'Platform admin only. What is left out stays as it is.',
  middleware: admin,
  request: { body: jsonBody(strict(quotaFields)) },
  responses: { 200: json(quotasSchema, 'As they are now.'), ...refused },
});

function quotaRoutes(app: Api, { tenancy }: Services): void {
  app.openapi(getQuotas, (c) => c.json(tenancy.quotas(c.get('principal').tenantId), 200));
  app.openapi(putQuotas, async (c) => {
    const who = c.get('principal');
    return c.json((await tenancy.setQuotas(who, who.tenantId, c.req.valid('json'))).quotas, 200);
  });
}

const own = needs('own');
const keyParam = z.object({ keyId: z.string() });
const createKey = createRoute({
  method: 'post',
  path: '/keys',
  tags: ['keys'],
  summary: 'Create a key, shown this once',
  middleware: own,
  request: {
    body: jsonBody(
      strict({
        name: z.string().min(1).max(100),
        role: z.enum(ROLES),
        expiresAt: time.optional(),
        tenantId: z.string().max(40).optional().openapi({ description: 'Another tenant: platform admin only.' }),
      }),
    ),
  },
  responses: { 201: json(shownKeySchema, 'The key.'), ...refused },
});
const listKeys = createRoute({
  method: 'get',
  path: '/keys',
  tags: ['keys'],
  summary: 'List keys, without their text',
  middleware: own,
  request: { query: pageQuery },
  responses: { 200: json(pageOf(keySchema), 'One page.'), ...refused },
});
const deleteKey = createRoute({
  method: 'delete',
  path: '/keys/{keyId}',
  tags: ['keys'],
  summary: 'Delete a key: it is refused at once',
  middleware: own,
  request: { params: keyParam },
  responses: { 204: { description: 'Gone.' }, ...refused },
});
const rotateKey = createRoute({
  method: 'post',
  path: '/keys/{keyId}/rotate',
  tags: ['keys'],
  summary: 'A new key in place of this one',
  description: 'The old key works for `graceSec` more (0 by default), so that callers can move over.',
  middleware: own,
  request: {
    params: keyParam,
    body: { content: { 'application/json': { schema: strict({ graceSec: whole(0, DEFAULTS.keyGraceSecMax).optional() }) } } },
  },
  responses: { 201: json(shownKeySchema, 'The new key.'), ...refused },
});

function keyRoutes(app: Api, { tenancy }: Services): void {
  app.openapi(createKey, async (c) =>
    c.json(presentShown(await tenancy.createKey(c.get('principal'), c.req.valid('json'))), 201, { 'cache-control': 'no-store' }),
  );
  app.openapi(listKeys, async (c) => {
    const { items, nextCursor } = await tenancy.keys(c.get('principal').tenantId, c.req.valid('query'));
    return c.json({ items: items.map(presentKey), nextCursor }, 200);
  });
  app.openapi(deleteKey, async (c) => {
    await tenancy.removeKey(c.get('principal'), c.req.valid('param').keyId);
    return c.body(null, 204);
  });
  app.openapi(rotateKey, async (c) => {
    const shown = await tenancy.rotateKey(c.get('principal'), c.req.valid('param').keyId, c.req.valid('json').graceSec ?? 0);
    return c.json(presentShown(shown), 201, { 'cache-control': 'no-store' });
  });
}

const createNamespace = createRoute({
  method: 'post',
  path: '/namespaces',
  tags: ['namespaces'],
  summary: 'Create a namespace',
  middleware: needs('change'),
  request: { body: jsonBody(strict({ name })) },
  responses: { 201: json(namespaceSchema, 'Created.'), ...refused },
});
const listNamespaces = createRoute({
  method: 'get',
  path: '/namespaces',
  tags: ['namespaces'],
  summary: 'List namespaces',
  middleware: needs('read'),
  request: { query: pageQuery },
  responses: { 200: json(pageOf(namespaceSchema), 'One page.'), ...refused },
});
const deleteNamespace = createRoute({
  method: 'delete',
  path: '/namespaces/{namespace}',
  tags: ['namespaces'],
  summary: 'Delete an empty namespace',
  middleware: needs('change'),
  request: { params: z.object({ namespace: name }) },
  responses: { 204: { description: 'Gone.' }, ...refused },
});

function namespaceRoutes(app: Api, { tenancy }: Services): void {
  app.openapi(createNamespace, async (c) =>
    c.json(presentNamespace(await tenancy.createNamespace(c.get('principal'), c.req.valid('json').name)), 201),
  );
  app.openapi(listNamespaces, async (c) => {
    const { items, nextCursor } = await tenancy.namespaces(c.get('principal').tenantId, c.req.valid('query'));
    return c.json({ items: items.map(presentNamespace), nextCursor }, 200);
  });
  app.openapi(deleteNamespace, async (c) => {
    await tenancy.removeNamespace(c.get('principal'), c.req.valid('param').namespace);
    return c.body(null, 204);
  });
}
