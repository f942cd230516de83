// Makes a checkout ready to run: installs packages when the lock file changed, bundles when a source changed.
// Plain JavaScript without dependencies, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const MINIMUM_NODE_MAJOR = 20;

/** Ends the process with a message a person can act on. */
function stop(message) {
  console.error(`fns: ${message}`);
  process.exit(1);
}

function lockDigest() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

/**
 * Installs unless node_modules was made from this very lock file. Not `npm ci`: it refuses a lock file that lacks packages of
 * other platforms, which is what npm writes where the registry in reach has none of them.
 */
function install() {
  const marker = join(root, 'node_modules', '.fns-lock');
  const digest = lockDigest();
  if (existsSync(marker) && readFileSync(marker, 'utf8') === digest) return;
  console.error('fns: installing packages (first start, or the lock file changed) …');
  // npm hands its own settings down as npm_config_*; a nested run must not inherit the outer command's.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config_(?!registry|cache|userconfig|cafile)|lifecycle|package)/i.test(name)),
  );
  const done = spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    env,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (done.status !== 0) stop('`npm install` failed; its output above says why. Check the network and the registry, then start again.');
  writeFileSync(marker, digest);
}

function newestChangeMs(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return 0;
  if (!found.isDirectory()) return found.mtimeMs;
  return Math.max(found.mtimeMs, ...readdirSync(path).map((name) => newestChangeMs(join(path, name))));
}

/** Bundles lib/ and runtimes/ into dist/ when any source is newer than the last bundle. */
async function bundle(force) {
  const stamp = join(root, 'dist', '.built');
  const builtMs = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = ['lib', 'bin', 'runtimes', 'scripts', 'package.json'].map((name) => join(root, name));
  if (!force && builtMs > Math.max(...sources.map(newestChangeMs))) return;
  const startedAt = new Date();
  mkdirSync(join(root, 'dist'), { recursive: true });
  const { build } = await import(pathToFileURL(join(root, 'scripts', 'build.mjs')).href);
  await build(root);
  writeFileSync(stamp, startedAt.toISOString());
}

export async function ready({ force = false } = {}) {
  if (Number(process.versions.node.split('.')[0]) < MINIMUM_NODE_MAJOR)
    stop(`Node.js ${MINIMUM_NODE_MAJOR} or newer is needed, this is ${process.versions.node}.`);
  install();
  await bundle(force);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await ready({ force: process.argv.includes('--build') });
