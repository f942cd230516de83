/** Which tenant's site a request is for, and the rest of its path. */
export interface SiteTarget {
  tenantId: string;
  /** What follows the site's root, encoded as received: `/hello/a%20b`. */
  rawPath: string;
  /** Without the `?`. */
  rawQuery: string;
  /** `host`: the tenant's own site. `path`: `/http/{tenant}/…` on the API's host, where tenants share an origin. */
  form: 'host' | 'path';
}

const PATH_FORM = '/http/';
const TENANT = /^[a-z0-9-]{1,40}$/;

/**
 * Undefined: not for a site.
 * @param url as received: path and query
 * @param host the Host header
 * @param siteDomain tenants' sites are labels under it: `localhost`
 */
export function siteTarget(url: string, host: string | undefined, siteDomain: string): SiteTarget | undefined {
  const tenantId = tenantOfHost(host, siteDomain);
  if (tenantId === undefined && !url.startsWith(PATH_FORM)) return undefined;
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const rawQuery = mark < 0 ? '' : url.slice(mark + 1);
  if (tenantId !== undefined) return { tenantId, rawPath: path, rawQuery, form: 'host' };
  const slash = path.indexOf('/', PATH_FORM.length);
  const tenant = slash < 0 ? path.slice(PATH_FORM.length) : path.slice(PATH_FORM.length, slash);
  return { tenantId: tenant, rawPath: slash < 0 ? '/' : path.slice(slash), rawQuery, form: 'path' };
}

function tenantOfHost(host: string | undefined, siteDomain: string): string | undefined {
  if (!host) return undefined;
  const name = host.replace(/:\d+$/, '').toLowerCase();
  if (!name.endsWith(`.${siteDomain}`)) return undefined;
  const label = name.slice(0, -siteDomain.length - 1);
  return TENANT.test(label) ? label : undefined;
}
