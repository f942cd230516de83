import type { Context, MiddlewareHandler } from 'hono';
import { base32, timePrefix } from '../core/ids.js';
import { Refusal } from '../core/refusal.js';
import { type Api, type ApiEnv, newApi } from './api.js';
import { auditRoutes } from './audit.js';
import { bearerOf } from './bearer.js';
import { bodyWithinLimits } from './body.js';
import { docsRoutes } from './docs.js';
import { functionsRoutes } from './functions.js';
import { healthRoutes } from './health.js';
import { invocationsRoutes } from './invocations.js';
import { logsRoutes } from './logs.js';
import { meteringRoutes } from './metering.js';
import { metricsRoutes, prometheusRoutes } from './metrics.js';
import { problemAnswer, refusalOf, unauthenticated } from './problem.js';
import { queuesRoutes } from './queues.js';
import type { Services } from './services.js';
import { tenancyRoutes } from './tenancy.js';
import { triggersRoutes } from './triggers.js';

/**
 * Every concern's routes under /api/v1: add yours here. The first that matches serves, so functions stand last:
 * `/functions/metrics` must come before `/functions/{functionId}`.
 */
const CONCERNS: readonly ((app: Api, services: Services) => void)[] = [
  logsRoutes,
  invocationsRoutes,
  triggersRoutes,
  queuesRoutes,
  tenancyRoutes,
  auditRoutes,
  meteringRoutes,
  metricsRoutes,
  functionsRoutes,
];

/**
 * The control plane: everything but the data path (invocations and HTTP triggers), which is served by bare node:http.
 * Works on plain Request objects through `fetch`.
 */
export function api(services: Services): Api {
  const app = newApi();
  app.use('*', withRequestId(services));
  app.onError((error, c) => answer(c, error, services));
  app.use('/api/v1/*', authenticated(services));
  app.use('/api/v1/*', bodyWithinLimits);
  healthRoutes(app, services);
  docsRoutes(app);
  prometheusRoutes(app, services);
  const v1 = newApi();
  for (const routes of CONCERNS) routes(v1, services);
  app.route('/api/v1', v1);
  const methodsOf = methodTable(app);
  app.notFound((c) => answer(c, noSuchRoute(c, methodsOf(c.req.path)), services));
  return app;
}

export const newRequestId = ({ clock, random }: Pick<Services, 'clock' | 'random'>): string =>
  `req_${timePrefix(clock.now())}${base32(random.bytes(10), 16)}`;

const withRequestId =
  (services: Services): MiddlewareHandler<ApiEnv> =>
  async (c, next) => {
    const requestId = newRequestId(services);
    c.set('requestId', requestId);
    await next();
    c.res.headers.set('x-request-id', requestId);
  };

function answer(c: Context<ApiEnv>, error: unknown, services: Services): Response {
  const refusal = refusalOf(error);
  const requestId = c.get('requestId');
  if (refusal.status >= 500) services.onFault(error, { requestId, method: c.req.method, path: c.req.path });
  const { status, headers, body } = problemAnswer(refusal, requestId);
  return new Response(c.req.method === 'HEAD' ? null : body, { status, headers });
}

const OPEN_PATHS = new Set(['/api/v1/openapi.json']);

const authenticated =
  ({ authenticator }: Services): MiddlewareHandler<ApiEnv> =>
  async (c, next) => {
    if (OPEN_PATHS.has(c.req.path)) return next();
    const bearer = bearerOf(c.req.header('authorization'));
    if (!bearer) throw unauthenticated('Send a key: Authorization: Bearer <key>.');
    const principal = authenticator.known(bearer) ?? (await authenticator.authenticate(bearer));
    if (!principal) throw unauthenticated('This key is not known, or it has expired.');
    if (principal.suspended) throw new Refusal(403, 'FNS_403_SUSPENDED', `The tenant '${principal.tenantId}' is suspended.`);
    c.set('principal', principal);
    return next();
  };

function noSuchRoute(c: Context<ApiEnv>, methods: string[]): Refusal {
  const path = c.req.path.slice(0, 200);
  if (methods.length === 0)
    return new Refusal(404, 'FNS_404_ROUTE', `There is no '${path}' here; /api/v1/openapi.json lists what there is.`);
  const allow = methods.join(', ');
  return new Refusal(405, 'FNS_405_METHOD', `${c.req.method} is not possible on '${path}' (allowed: ${allow}).`, { headers: { allow } });
}

/** Which methods a path has, from all that is documented, so that a wrong method is 405 and not 404. */
function methodTable(app: Api): (path: string) => string[] {
  const known = [
    ...app.openAPIRegistry.definitions.flatMap((each) =>
      each.type === 'route' ? [{ method: each.route.method.toUpperCase(), path: each.route.path }] : [],
    ),
    ...app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => ({ method, path: path.replaceAll(/:(\w+)/g, '{$1}') })),
  ].map(({ method, path }) => ({ method, pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{[^}]+\}/g, '[^/]+')}$`) }));
  return (path) => {
    const methods = new Set(known.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
    if (methods.has('GET')) methods.add('HEAD');
    return [...methods].sort();
  };
}
