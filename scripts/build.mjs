// One bundle per process or thread. Native and data-carrying packages stay in node_modules.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';

const ENTRIES = {
  platform: 'lib/embedded/main.ts',
  fns: 'lib/cli/main.ts',
  'store-writer': 'lib/embedded/store/writer-thread.ts',
  'store-reader': 'lib/embedded/store/reader-thread.ts',
  'log-thread': 'lib/embedded/logs/log-thread.ts',
  'json-thread': 'lib/http/fast-lane/json-thread.ts',
  'runtime-node': 'runtimes/node/bootstrap.ts',
  'code-check': 'runtimes/node/code-check.ts',
};

export async function build(root) {
  const entryPoints = Object.fromEntries(
    Object.entries(ENTRIES)
      .map(([name, path]) => [name, join(root, path)])
      .filter(([, path]) => existsSync(path)),
  );
  await esbuild({
    entryPoints,
    outdir: join(root, 'dist'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    sourcemap: 'linked',
    logLevel: 'warning',
    external: ['@photostructure/sqlite', 'pdfkit', 'swagger-ui-dist', 'esbuild', 'fsevents'],
  });
}
