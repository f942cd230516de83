#!/usr/bin/env node
// The `fns` command: installs and bundles what is missing, then runs the CLI.
import { createRequire } from 'node:module';
import { ready, root } from '../scripts/ready.mjs';

await ready();
createRequire(import.meta.url)(`${root}/dist/fns.js`);
