import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { usageError } from './failure.js';

export const DEFAULT_URL = 'http://127.0.0.1:8787';

/** Where the platform is and who calls; `keyFrom` is for messages. */
export interface Connection {
  url: string;
  key: string | undefined;
  keyFrom: string;
}

interface Credentials {
  path: string;
  url?: string;
  key: string;
}

/** First what was said (--url, --api-key), then the environment, then the data folder of a platform on this machine. */
export function connection(options: { url?: string; apiKey?: string }, env: NodeJS.ProcessEnv, cwd: string): Connection {
  const kept = credentials(env, cwd);
  const url = plainUrl(options.url ?? (env.FNS_URL || undefined) ?? kept?.url ?? localUrl(env));
  const said = options.apiKey ?? (env.FNS_API_KEY || undefined);
  // The key of the platform on this machine is for that platform alone: never sent elsewhere.
  const isKept =
    said === undefined && kept !== undefined && (kept.url === undefined ? isLocal(url) : plainUrl(kept.url) === url || isLocal(url));
  if (said !== undefined) return { url, key: said, keyFrom: options.apiKey ? '--api-key' : 'FNS_API_KEY' };
  return { url, key: isKept ? kept.key : undefined, keyFrom: isKept ? kept.path : 'nowhere' };
}

/** Where `npm start` keeps its data unless told otherwise: in the checkout which this command belongs to. */
const usualDataFolder = (): string => join(packageRoot(), '.fns');

/** The data folder whose key this command takes; where there is none yet, that of `npm start`. */
export function dataFolder(env: NodeJS.ProcessEnv, cwd: string): string {
  if (env.FNS_DATA_DIR) return resolve(cwd, env.FNS_DATA_DIR);
  const kept = credentials(env, cwd);
  return kept ? dirname(kept.path) : usualDataFolder();
}

/** The nearest `.fns/credentials.json` from here upwards, or that of the checkout which this command belongs to. */
function credentials(env: NodeJS.ProcessEnv, cwd: string): Credentials | undefined {
  const folders = env.FNS_DATA_DIR
    ? [resolve(cwd, env.FNS_DATA_DIR)]
    : [...above(cwd).map((each) => join(each, '.fns')), usualDataFolder()];
  for (const folder of folders) {
    const path = join(folder, 'credentials.json');
    try {
      const { url, key } = JSON.parse(readFileSync(path, 'utf8')) as { url?: unknown; key?: unknown };
      if (typeof key === 'string') return { path, key, url: typeof url === 'string' ? url : undefined };
    } catch {
      // Not there, or not readable by this user: the next one may be.
    }
  }
  return undefined;
}

function above(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...above(parent)];
}

/** The checkout: the nearest folder above this code whose package.json is named fns. */
export function packageRoot(): string {
  const found = above(__dirname).find((each) => {
    const manifest = join(each, 'package.json');
    return existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'fns';
  });
  return found ?? dirname(__dirname);
}

const localUrl = (env: NodeJS.ProcessEnv): string => (env.FNS_PORT ? `http://127.0.0.1:${env.FNS_PORT}` : DEFAULT_URL);

const isLocal = (url: string): boolean => ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname);

function plainUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw usageError(`'${text}' is no URL of a platform.`, `Such as ${DEFAULT_URL} (--url or FNS_URL).`);
  return text.replace(/\/+$/, '').replace(/\/api\/v1$/, '');
}
