// Makes a checkout ready to run: installs packages when the lock file changed, bundles when a source changed.
// Plain JavaScript without dependencies, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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

/** node_modules was made from this very lock file. */
const installedMarker = join(root, 'node_modules', '.fns-lock');
const isInstalled = () => existsSync(installedMarker) && readFileSync(installedMarker, 'utf8') === lockDigest();

/** Not `npm ci`: it refuses a lock file that lacks packages of other platforms, as npm writes it where the registry has none of them. */
function install() {
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
  writeFileSync(installedMarker, lockDigest());
}

/** Every file below with its size and its time: any change shows, also one back to an older file. */
function stateOf(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return `${path} none\n`;
  if (!found.isDirectory()) return `${path} ${found.size} ${found.mtimeMs}\n`;
  return readdirSync(path)
    .sort()
    .map((name) => stateOf(join(path, name)))
    .join('');
}

const bundleStamp = join(root, 'dist', '.built');
const SOURCES = ['lib', 'bin', 'runtimes', 'scripts', 'package.json'];
const sourcesState = () =>
  createHash('sha256')
    .update(SOURCES.map((name) => stateOf(join(root, name))).join(''))
    .digest('hex');
const isBundled = () => existsSync(bundleStamp) && readFileSync(bundleStamp, 'utf8') === sourcesState();

/** Bundles lib/ and runtimes/ into dist/. */
async function bundle() {
  // Taken before: what is changed while this runs may not be in it.
  const state = sourcesState();
  mkdirSync(join(root, 'dist'), { recursive: true });
  const { build } = await import(pathToFileURL(join(root, 'scripts', 'build.mjs')).href);
  await build(root);
  writeFileSync(bundleStamp, state);
}

const lockFile = join(root, '.fns-making');
const WAIT_MS = 100;
const TELL_AFTER_MS = 1_500;

/** The process that holds the lock, if it still runs. 0: the holder has made the file and not yet written to it. */
function lockHolder() {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    return pid;
  } catch (error) {
    return error.code === 'EPERM' ? 0 : undefined;
  }
}

function takeLock() {
  try {
    writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST')
      stop(
        `packages or bundles are missing in ${root}, and this user may not write there (${error.code}). Run \`npm run build\` as its owner.`,
      );
    // Its holder was killed, or is through.
    if (lockHolder() === undefined) rmSync(lockFile, { force: true });
    return false;
  }
}

/** One at a time: `npm start` in one terminal and `npx fns` in the other must not both write node_modules or dist. */
async function alone(make) {
  const since = Date.now();
  for (let told = false; !takeLock(); await sleep(WAIT_MS)) {
    if (told || Date.now() - since < TELL_AFTER_MS) continue;
    told = true;
    console.error('fns: another process installs or bundles here; waiting for it …');
  }
  const release = () => rmSync(lockFile, { force: true });
  process.once('exit', release);
  try {
    await make();
  } finally {
    process.off('exit', release);
    release();
  }
}

export async function ready({ force = false } = {}) {
  if (Number(process.versions.node.split('.')[0]) < MINIMUM_NODE_MAJOR)
    stop(`Node.js ${MINIMUM_NODE_MAJOR} or newer is needed, this is ${process.versions.node}.`);
  if (!force && isInstalled() && isBundled()) return;
  await alone(async () => {
    if (!isInstalled()) install();
    if (force || !isBundled()) await bundle();
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await ready({ force: process.argv.includes('--build') });
