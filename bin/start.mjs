// `npm start`: installs and bundles what is missing, then runs the platform in this very process,
// so that a service manager's SIGTERM reaches it.
import { createRequire } from 'node:module';
import { ready, root } from '../scripts/ready.mjs';

await ready();
createRequire(import.meta.url)(`${root}/dist/platform.js`);
