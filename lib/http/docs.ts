import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Refusal } from '../core/refusal.js';
import type { Api } from './api.js';

/** Files of the reference page, and nothing else of that package. */
const ASSETS: Record<string, string> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>FNS API</title>
<link rel="icon" href="/docs/favicon-32x32.png"><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="reference"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
`;
const START = `SwaggerUIBundle({ url: '/api/v1/openapi.json', dom_id: '#reference', deepLinking: true, persistAuthorization: false });\n`;

/** The page runs what it was shipped with, and speaks to this host alone. Swagger UI sets styles and data: images itself. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
const HEADERS = { 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' };

export const openApiInfo = {
  openapi: '3.1.0',
  info: {
    title: 'FNS',
    version: '1',
    description:
      'A serverless function platform. Errors are problem+json (RFC 9457); lists are `{items, nextCursor}`; times are RFC 3339 UTC; unknown fields are refused by name.',
  },
  security: [{ bearer: [] }],
  // The order of the page: what a newcomer needs first stands first.
  tags: [
    'functions',
    'invocations',
    'triggers',
    'queues',
    'logs',
    'metrics',
    'billing',
    'namespaces',
    'keys',
    'tenants',
    'audit',
    'operation',
  ].map((name) => ({ name })),
} as const;

/** The OpenAPI document and the reference page that shows it, both open to anyone. */
export function docsRoutes(app: Api): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  let document: string | undefined;
  app.get('/api/v1/openapi.json', (c) => {
    document ??= JSON.stringify(app.getOpenAPI31Document(openApiInfo as never));
    return c.body(document, 200, { 'content-type': 'application/json' });
  });
  // Whoever opens the printed address in a browser wants to see something.
  app.get('/', (c) => c.redirect('/docs', 302));
  app.get('/docs', (c) => c.body(PAGE, 200, { ...HEADERS, 'content-type': 'text/html; charset=utf-8' }));
  app.get('/docs/start.js', (c) => c.body(START, 200, { ...HEADERS, 'content-type': 'text/javascript; charset=utf-8' }));
  app.get('/docs/:file', async (c) => {
    const file = c.req.param('file');
    const type = Object.hasOwn(ASSETS, file) ? ASSETS[file] : undefined;
    if (!type) throw new Refusal(404, 'FNS_404_ROUTE', `There is no page '${c.req.path.slice(0, 200)}'.`);
    const folder = dirname(require.resolve('swagger-ui-dist/package.json'));
    const bytes = await readFile(join(folder, file));
    return c.body(bytes, 200, { ...HEADERS, 'content-type': type, 'cache-control': 'max-age=86400' });
  });
}
