import type { Cors, HttpTrigger } from '../../core/triggers/model.js';

type Headers = Record<string, string>;

/** Fetch standard, CORS protocol: https://fetch.spec.whatwg.org/#http-cors-protocol */
export function corsHeaders({ cors }: HttpTrigger, origin: string | undefined): Headers {
  if (!cors) return {};
  const any = cors.allowOrigins.includes('*');
  // The answer depends on the origin unless it is the same for all.
  const headers: Headers = any ? {} : { vary: 'Origin' };
  if (origin === undefined || !(any || cors.allowOrigins.includes(origin))) return headers;
  headers['access-control-allow-origin'] = any ? '*' : origin;
  if (cors.allowCredentials) headers['access-control-allow-credentials'] = 'true';
  if (cors.exposeHeaders.length > 0) headers['access-control-expose-headers'] = cors.exposeHeaders.join(', ');
  return headers;
}

export const isPreflight = (method: string, headers: NodeJS.Dict<string | string[]>): boolean =>
  method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;

/** The answer to a preflight, 204 in any case: what is missing in it is what the browser refuses. */
export function preflight(trigger: HttpTrigger & { cors: Cors }, origin: string | undefined, asked: string | undefined): Headers {
  const { cors, methods } = trigger;
  const headers = corsHeaders(trigger, origin);
  if (!headers['access-control-allow-origin']) return headers;
  const allowed = cors.allowMethods.length > 0 ? cors.allowMethods : methods;
  headers['access-control-allow-methods'] = allowed.includes('ANY') ? 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' : allowed.join(', ');
  const fields = cors.allowHeaders.includes('*') ? asked : cors.allowHeaders.join(', ');
  if (fields) headers['access-control-allow-headers'] = fields;
  headers['access-control-max-age'] = String(cors.maxAgeSec);
  return headers;
}
