import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { LATEST } from '../core/functions/model.js';
import { etagOf } from '../core/functions/precondition.js';
import type { CodeUpload, NewFunction, Precondition } from '../core/functions/service.js';
import { invalidField } from '../core/refusal.js';
import { type Api, type ApiEnv, needs } from './api.js';
import { codeOf } from './code-upload.js';
import { presentFunction, presentVersion } from './present/function.js';
import { name, strict } from './schemas/fields.js';
import { codeJson, functionCreate, functionPatch, functionPut, functionSchema, versionSchema } from './schemas/function.js';
import { pageFields, pageOf, pageQuery } from './schemas/page.js';
import { json, jsonBody, refused } from './schemas/responses.js';
import type { Services } from './services.js';

const tags = ['functions'];
const byId = z.object({ functionId: z.string() });
const etag = {
  headers: { ETag: { description: 'The revision; send it as If-Match with a change.', schema: { type: 'string' as const } } },
};
const change = needs('change');
const read = needs('read');

const createFunction = createRoute({
  method: 'post',
  path: '/functions',
  tags,
  summary: 'Create a function, with or without code',
  middleware: change,
  request: { body: jsonBody(functionCreate) },
  responses: { 201: { ...json(functionSchema, 'Created.'), ...etag }, ...refused },
});

const putFunction = createRoute({
  method: 'put',
  path: '/namespaces/{namespace}/functions/{name}',
  tags,
  summary: 'Create or replace a function by name',
  description: 'Settings that are left out take their default; code that is left out stays. If-Match and If-None-Match are honoured.',
  middleware: change,
  request: { params: z.object({ namespace: name, name }), body: jsonBody(functionPut) },
  responses: { 200: { ...json(functionSchema, 'Replaced.'), ...etag }, 201: { ...json(functionSchema, 'Created.'), ...etag }, ...refused },
});

const getByName = createRoute({
  method: 'get',
  path: '/namespaces/{namespace}/functions/{name}',
  tags,
  summary: 'A function by name',
  middleware: read,
  request: { params: z.object({ namespace: name, name }) },
  responses: { 200: { ...json(functionSchema, 'The function.'), ...etag }, ...refused },
});

const listFunctions = createRoute({
  method: 'get',
  path: '/functions',
  tags,
  summary: 'List functions, oldest first',
  middleware: read,
  request: { query: strict({ ...pageFields, namespace: name.optional(), name: name.optional() }) },
  responses: { 200: json(pageOf(functionSchema), 'One page.'), ...refused },
});

const getFunction = createRoute({
  method: 'get',
  path: '/functions/{functionId}',
  tags,
  summary: 'One function',
  middleware: read,
  request: { params: byId },
  responses: { 200: { ...json(functionSchema, 'The function with its draft $LATEST.'), ...etag }, ...refused },
});

const patchFunction = createRoute({
  method: 'patch',
  path: '/functions/{functionId}',
  tags,
  summary: 'Change settings',
  description: '`retry`, `concurrency` and `scaling` are merged; `env`, `tags` and `layers` are replaced as a whole.',
  middleware: change,
  request: { params: byId, body: jsonBody(functionPatch) },
  responses: { 200: { ...json(functionSchema, 'As it is now.'), ...etag }, ...refused },
});

const deleteFunction = createRoute({
  method: 'delete',
  path: '/functions/{functionId}',
  tags,
  summary: 'Delete a function with its versions and triggers',
  middleware: change,
  request: { params: byId },
  responses: { 204: { description: 'Gone; running calls finish.' }, ...refused },
});

const archive = { schema: { type: 'string' as const, format: 'binary' } };
const putCode = createRoute({
  method: 'put',
  path: '/functions/{functionId}/code',
  tags,
  summary: 'Put code: a zip, multipart, or JSON with files',
  middleware: change,
  request: {
    params: byId,
    body: {
      content: {
        'application/json': { schema: codeJson },
        'application/zip': archive,
        'application/x-zip-compressed': archive,
        'application/octet-stream': archive,
        'multipart/form-data': { schema: { type: 'object' as const, properties: { code: archive.schema } } },
      },
    },
  },
  responses: {
    200: {
      ...json(
        z.object({
          functionId: z.string(),
          codeSha256: z.string(),
          sizeBytes: z.int(),
          version: z.literal('$LATEST'),
          warnings: z.array(z.string()).optional(),
        }),
        'The new $LATEST; running slots drain and are replaced.',
      ),
      ...etag,
    },
    ...refused,
  },
});

const setState = createRoute({
  method: 'put',
  path: '/functions/{functionId}/state',
  tags,
  summary: 'Enable or disable',
  description: 'Calls of a disabled function are refused with FNS_409_DISABLED, and its triggers pause.',
  middleware: change,
  request: { params: byId, body: jsonBody(strict({ state: z.enum(['ENABLED', 'DISABLED']) })) },
  responses: { 200: { ...json(functionSchema, 'As it is now.'), ...etag }, ...refused },
});

const publishVersion = createRoute({
  method: 'post',
  path: '/functions/{functionId}/versions',
  tags,
  summary: 'Publish the draft as the next version',
  description: 'The same code and configuration as the last version gives that version again.',
  middleware: change,
  request: { params: byId, body: { content: { 'application/json': { schema: strict({ description: z.string().max(512).optional() }) } } } },
  responses: { 201: json(versionSchema, 'The version.'), ...refused },
});

const listVersions = createRoute({
  method: 'get',
  path: '/functions/{functionId}/versions',
  tags,
  summary: 'List versions, oldest first',
  middleware: read,
  request: { params: byId, query: pageQuery },
  responses: { 200: json(pageOf(versionSchema), 'One page.'), ...refused },
});

const getVersion = createRoute({
  method: 'get',
  path: '/functions/{functionId}/versions/{version}',
  tags,
  summary: 'One version',
  middleware: read,
  request: { params: byId.extend({ version: z.string() }) },
  responses: { 200: json(versionSchema, 'The version.'), ...refused },
});

const precondition = (c: Context<ApiEnv>): Precondition => ({
  ifMatch: c.req.header('if-match'),
  ifNoneMatch: c.req.header('if-none-match'),
});

function inlineCode(code: z.infer<typeof codeJson> | undefined): CodeUpload | undefined {
  if (code?.imageUri !== undefined) return { kind: 'image', imageUri: code.imageUri };
  return code?.files === undefined ? undefined : { kind: 'files', files: code.files };
}

export function functionsRoutes(app: Api, services: Services): void {
  changeRoutes(app, services);
  readRoutes(app, services);
  versionRoutes(app, services);
}

function changeRoutes(app: Api, { functions }: Services): void {
  app.openapi(createFunction, async (c) => {
    const { code, ...settings } = c.req.valid('json');
    const { fn, warnings } = await functions.create(c.get('principal'), { ...settings, code: inlineCode(code) });
    return c.json(presentFunction(fn, warnings), 201, { etag: etagOf(fn), location: `/api/v1/functions/${fn.functionId}` });
  });
  app.openapi(putFunction, async (c) => {
    const { code, ...settings } = c.req.valid('json');
    const input: NewFunction & { namespace: string } = { ...settings, ...c.req.valid('param'), code: inlineCode(code) };
    const { fn, warnings, created } = await functions.put(c.get('principal'), input, precondition(c));
    return c.json(presentFunction(fn, warnings), created ? 201 : 200, { etag: etagOf(fn), location: `/api/v1/functions/${fn.functionId}` });
  });
  app.openapi(patchFunction, async (c) => {
    const { fn, warnings } = await functions.patch(
      c.get('principal'),
      c.req.valid('param').functionId,
      c.req.valid('json'),
      precondition(c),
    );
    return c.json(presentFunction(fn, warnings), 200, { etag: etagOf(fn) });
  });
  app.openapi(deleteFunction, async (c) => {
    await functions.remove(c.get('principal'), c.req.valid('param').functionId, precondition(c));
    return c.body(null, 204);
  });
  app.openapi(putCode, async (c) => {
    const { functionId } = c.req.valid('param');
    const upload = await codeOf(c, () => inlineCode(c.req.valid('json' as never) as z.infer<typeof codeJson>));
    const { fn, warnings } = await functions.putCode(c.get('principal'), functionId, upload, precondition(c));
    if (fn.codeSha256 === null) throw invalidField('code', 'is missing');
    const told = { functionId, codeSha256: fn.codeSha256, sizeBytes: fn.codeSizeBytes, version: LATEST };
    return c.json({ ...told, version: LATEST as '$LATEST', ...(warnings.length > 0 ? { warnings } : {}) }, 200, { etag: etagOf(fn) });
  });
  app.openapi(setState, async (c) => {
    const { fn, warnings } = await functions.setState(c.get('principal'), c.req.valid('param').functionId, c.req.valid('json').state);
    return c.json(presentFunction(fn, warnings), 200, { etag: etagOf(fn) });
  });
}

function readRoutes(app: Api, { functions }: Services): void {
  app.openapi(listFunctions, async (c) => {
    const { items, nextCursor } = await functions.list(c.get('principal').tenantId, c.req.valid('query'));
    return c.json({ items: items.map((fn) => presentFunction(fn)), nextCursor }, 200);
  });
  app.openapi(getFunction, async (c) => {
    const fn = await functions.get(c.get('principal').tenantId, c.req.valid('param').functionId);
    return c.json(presentFunction(fn), 200, { etag: etagOf(fn) });
  });
  app.openapi(getByName, async (c) => {
    const { namespace, name: wanted } = c.req.valid('param');
    const fn = await functions.byName(c.get('principal').tenantId, namespace, wanted);
    return c.json(presentFunction(fn), 200, { etag: etagOf(fn) });
  });
}

function versionRoutes(app: Api, { functions }: Services): void {
  app.openapi(publishVersion, async (c) => {
    const version = await functions.publish(c.get('principal'), c.req.valid('param').functionId, c.req.valid('json').description ?? '');
    return c.json(presentVersion(version), 201);
  });
  app.openapi(listVersions, async (c) => {
    const { items, nextCursor } = await functions.versions(
      c.get('principal').tenantId,
      c.req.valid('param').functionId,
      c.req.valid('query'),
    );
    return c.json({ items: items.map(presentVersion), nextCursor }, 200);
  });
  app.openapi(getVersion, async (c) => {
    const { functionId, version } = c.req.valid('param');
    return c.json(presentVersion(await functions.version(c.get('principal').tenantId, functionId, version)), 200);
  });
}
