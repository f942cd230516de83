import type { HttpTrigger, Method } from '../../../lib/core/triggers/model.js';
import { claimsOf, parsePath, Router } from '../../../lib/core/triggers/routes.js';

const route = (path: string, methods: Method[] = ['GET']): HttpTrigger =>
  ({ type: 'http', triggerId: `trg_${path}`, tenantId: 'default', path, methods, enabled: true }) as unknown as HttpTrigger;
const router = (...routes: [string, Method[]?][]) => new Router(routes.map(([path, methods]) => route(path, methods)));
const pathOf = (r: Router, method: string, path: string) => {
  const match = r.match(method, path);
  return match.kind === 'route' ? match.trigger.path : match.kind;
};

describe('routes', () => {
  it('takes text before a parameter before a greedy one', () => {
    const r = router(['/a/b'], ['/a/{x}'], ['/a/{rest+}'], ['/{all+}']);
    expect(['/a/b', '/a/c', '/a/c/d', '/z', '/a'].map((path) => pathOf(r, 'GET', path))).toEqual([
      '/a/b',
      '/a/{x}',
      '/a/{rest+}',
      '/{all+}',
      '/{all+}',
    ]);
  });

  it('goes back to a less exact path where the exact one leads nowhere', () => {
    const r = router(['/a/b/c'], ['/{x}/b/d']);
    expect(pathOf(r, 'GET', '/a/b/d')).toBe('/{x}/b/d');
  });

  it('gives parameters decoded', () => {
    const r = router(['/hello/{name}'], ['/files/{path+}']);
    expect(r.match('GET', '/hello/a%20b')).toMatchObject({ kind: 'route', params: { name: 'a b' }, routeKey: 'GET /hello/{name}' });
    expect(r.match('GET', '/files/x/y%2Fz')).toMatchObject({ params: { path: 'x/y/z' } });
    expect(r.match('GET', '/hello/%zz')).toMatchObject({ params: { name: '%zz' } });
  });

  it('finds no route for an empty parameter or a path too short', () => {
    const r = router(['/hello/{name}'], ['/files/{path+}']);
    expect(['/hello', '/hello/', '/files', '/files/', '/', '/hello/a/b'].map((path) => pathOf(r, 'GET', path))).toEqual(
      Array(6).fill('none'),
    );
  });

  it('serves HEAD by GET, says what is allowed, and prefers a named method to ANY', () => {
    const r = router(['/a', ['GET', 'POST']], ['/b', ['ANY']], ['/b', ['DELETE']]);
    expect(r.match('HEAD', '/a')).toMatchObject({ kind: 'route', routeKey: 'GET /a' });
    expect(r.match('PUT', '/a')).toMatchObject({ kind: 'method', allow: ['GET', 'HEAD', 'POST'] });
    expect(r.match('DELETE', '/b')).toMatchObject({ routeKey: 'DELETE /b' });
    expect(r.match('PATCH', '/b')).toMatchObject({ routeKey: 'ANY /b' });
  });

  it('looks for the method on less exact paths before it says 405', () => {
    const r = router(['/a/b', ['GET']], ['/a/{x}', ['POST']]);
    expect(pathOf(r, 'POST', '/a/b')).toBe('/a/{x}');
    expect(r.match('PUT', '/a/b')).toMatchObject({ allow: ['GET', 'HEAD', 'POST'] });
  });

  it('claims a path without the names of its parameters', () => {
    expect(claimsOf('/a/{x}', ['GET', 'POST'])).toEqual(claimsOf('/a/{y}', ['GET', 'POST']));
    expect(claimsOf('/a%20b', ['GET'])).toEqual(['http GET /a%20b']);
  });

  it.each([
    '',
    'a',
    '/a//b',
    '/{}',
    '/{a}/{a}',
    '/{a+}/b',
    '/x{a}',
    '/a?b',
    '/a b',
    '/%zz',
    '/..',
    `/${'a/'.repeat(40)}`,
    `/${'a'.repeat(600)}`,
  ])("refuses the path '%s' by name", (path) => {
    expect(() => parsePath(path)).toThrow(/path/);
  });

  it('matches hostile paths quickly', () => {
    const r = router(['/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/x'], ['/a/{b}/a/{d}/a/{f}/a/{h}/y'], ['/{all+}', ['POST']]);
    const startedAt = performance.now();
    for (let i = 0; i < 1000; i += 1) r.match('GET', '/a'.repeat(200));
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });
});
