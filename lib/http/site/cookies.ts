/**
 * A cookie of a handler as it may leave. `Domain` goes: a tenant's cookies are for its own site, never for its neighbours'.
 * On the path form, where tenants share the origin, it is also confined to the tenant's path.
 * @param root `/http/{tenant}`; empty on the tenant's own site
 */
export function confined(cookie: string, root: string): string {
  const [pair = '', ...attributes] = cookie.split(';');
  const kept: string[] = [];
  let path: string | undefined;
  for (const attribute of attributes) {
    const text = attribute.trim();
    if (/^domain\s*(=|$)/i.test(text)) continue;
    const given = /^path\s*=\s*(.*)$/i.exec(text);
    if (given) path = given[1];
    else if (!/^path$/i.test(text) && text !== '') kept.push(text);
  }
  // A path that does not begin with a slash means the default path (RFC 6265, 5.2.4).
  const plain = path?.startsWith('/') ? path : undefined;
  if (root !== '') kept.push(`Path=${root}${plain ?? '/'}`);
  else if (plain !== undefined) kept.push(`Path=${plain}`);
  return [pair.trim(), ...kept].join('; ');
}
