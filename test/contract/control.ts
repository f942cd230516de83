import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Catalog } from '../../lib/core/functions/catalog.js';
import { FunctionCases } from '../../lib/core/functions/functions.js';
import type { Runtime } from '../../lib/core/functions/model.js';
import type { CodePreparer } from '../../lib/core/functions/port.js';
import { KeyRing } from '../../lib/core/tenancy/authenticator.js';
import { TenancyCases } from '../../lib/core/tenancy/tenancy.js';
import { EmbeddedAudit } from '../../lib/embedded/audit/audit-store.js';
import { ZipArchives } from '../../lib/embedded/code/archive.js';
import { FolderCodeStore } from '../../lib/embedded/code/code-store.js';
import { EmbeddedFunctionStore } from '../../lib/embedded/functions/function-store.js';
import { bootstrapTenancy, sha256Hex } from '../../lib/embedded/tenancy/bootstrap.js';
import { LocalSealer, masterKey } from '../../lib/embedded/tenancy/sealer.js';
import { EmbeddedTenancyStore } from '../../lib/embedded/tenancy/tenancy-store.js';
import { api } from '../../lib/http/app.js';
import type { Services } from '../../lib/http/services.js';
import { embeddedStore } from './embedded.js';

export const ADMIN = 'the-admin-key-0123456789';

/** The control plane over the embedded engine, without a server: what a parser cannot read is any file with `syntax error` in it. */
export async function controlPlane(options: { refuseTenants?: string } = {}) {
  const { database, dataDir, close } = await embeddedStore();
  const clock = { now: () => Date.now(), monotonicMs: () => performance.now(), after: () => () => {} };
  const random = { fraction: Math.random, bytes: (count: number) => randomBytes(count) };
  const store = new EmbeddedTenancyStore(database);
  const keyRing = new KeyRing(store, sha256Hex, clock);
  const audit = new EmbeddedAudit(database);
  const tenancy = new TenancyCases({
    store,
    keyRing,
    digest: sha256Hex,
    secondTenantRefused: () => options.refuseTenants,
    audit,
    clock,
    random,
  });
  await bootstrapTenancy(store, { dataDir, adminKey: ADMIN, now: clock.now() });
  await tenancy.start();
  const here: ReadonlySet<Runtime> = new Set<Runtime>(['nodejs20', 'python3.11']);
  const functionStore = new EmbeddedFunctionStore(database, new LocalSealer(database, masterKey(dataDir)));
  const catalog = new Catalog(functionStore, () => here);
  const removed: string[] = [];
  const code = new FolderCodeStore(join(dataDir, 'code'));
  const preparer: CodePreparer = {
    check: async (_, handler) => (handler === 'broken.handler' ? [{ file: 'index.js', line: 3, message: 'Unexpected token' }] : []),
  };
  const functions = new FunctionCases({
    store: functionStore,
    catalog,
    code,
    archives: new ZipArchives(),
    preparer,
    runtimesHere: () => here,
    dependents: { functionRemoved: async (_, functionId) => void removed.push(functionId) },
    namespaceExists: (tenantId, name) => tenancy.hasNamespace(tenantId, name),
    reservable: (tenantId) => tenancy.quotas(tenantId).concurrency,
    audit,
    clock,
    random,
  });
  const onFault = (error: unknown): void => {
    throw error;
  };
  const services = { clock, random, authenticator: keyRing, functions, tenancy, audit, onFault } as unknown as Services;
  const app = api(services);
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}, key: string | null = ADMIN) => {
    const isJson = body !== undefined && !(body instanceof Uint8Array) && !(body instanceof FormData);
    const r = await app.request(`/api/v1${path}`, {
      method,
      body: isJson ? JSON.stringify(body) : (body as never),
      headers: {
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...(isJson ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
    });
    const text = await r.text();
    const isText = !/application\/(problem\+)?json/.test(r.headers.get('content-type') ?? '');
    // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
    const json: any = isText ? undefined : JSON.parse(text);
    return { status: r.status, headers: r.headers, text, json };
  };
  return { app, call, functions, catalog, tenancy, keyRing, code, dataDir, removed, close };
}
