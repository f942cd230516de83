import { resolve } from 'node:path';
import { DEFAULTS } from '../core/defaults.js';
import { PlatformFault } from '../core/refusal.js';
import { packageRoot } from './paths.js';
import { Platform, tellFault } from './platform.js';
import { type Settings, SettingsError, settingsFrom } from './settings.js';
import { FolderInUse } from './store/folder-lock.js';

/** The process behind `npm start`: reads the environment, runs the platform, ends it well. */
async function main(): Promise<void> {
  const settings = settingsFrom(process.env, process.cwd());
  // A promise that nobody waited for is a bug of ours, to be told; it is no reason to end the calls of everybody.
  process.on('unhandledRejection', (error) => tellFault(error));
  const platform = await Platform.start(settings);
  greet(platform, settings);
  const stop = once((signal: string) => {
    console.error(`fns: ${signal}, finishing the running calls …`);
    // Nothing may keep a stopping service alive for ever.
    setTimeout(() => process.exit(1), DEFAULTS.drainMs + 1_500).unref();
    platform.stop().then(
      () => process.exit(0),
      (error) => fail(error),
    );
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
}

/** What a newcomer needs next, ready to be pasted. */
function greet(platform: Platform, settings: Settings): void {
  const { url, keyFile, madeKey } = platform;
  // The command looks for URL and key in the usual data folder by itself.
  const isUsual = settings.dataDir === resolve(packageRoot(), '.fns');
  console.log(
    [
      `FNS is ready on ${url}  (API reference: ${url}/docs)`,
      `  data     ${settings.dataDir}`,
      `  sandbox  ${platform.sandbox}`,
      `  key      ${keyFile}`,
      ...(madeKey ? [`           ${madeKey}  (shown this once)`] : []),
      '',
      'Try it:',
      ...(isUsual ? [] : [`  export FNS_DATA_DIR=${quoted(settings.dataDir)}`]),
      `  npx fns invoke hello '{"name":"World"}'`,
      `  curl ${url}/http/default/hello`,
      '  npx fns init my-function && cd my-function && npx fns deploy',
    ].join('\n'),
  );
}

/** For a shell. */
const quoted = (text: string): string => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

function once<A>(run: (argument: A) => void): (argument: A) => void {
  let done = false;
  return (argument) => {
    if (!done) run(argument);
    done = true;
  };
}

function fail(error: unknown): never {
  const known =
    [SettingsError, FolderInUse, PlatformFault].some((each) => error instanceof each) ||
    (error as NodeJS.ErrnoException).code !== undefined;
  console.error(`fns: ${explained(error)}`);
  if (!known) console.error(error);
  process.exit(1);
}

function explained(error: unknown): string {
  const { code, message, port, address, hostname, path } = error as NodeJS.ErrnoException & {
    port?: number;
    address?: string;
    hostname?: string;
  };
  if (code === 'EADDRINUSE')
    return `port ${port} on ${address} is in use. Stop what listens there, or choose another: FNS_PORT=8788 npm start`;
  if (code === 'EACCES' && port !== undefined) return `no permission to listen on port ${port}. Choose one above 1023 with FNS_PORT.`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return `FNS_HOST=${address ?? hostname}: this machine has no such address. 127.0.0.1 is for this machine alone, 0.0.0.0 for everybody who reaches it.`;
  if ((code === 'EEXIST' || code === 'ENOTDIR') && path) return `${path} is a file, and a data folder is needed there (FNS_DATA_DIR).`;
  if ((code === 'EACCES' || code === 'EROFS' || code === 'EPERM') && path) {
    return `no permission to write ${path}. Choose another data folder with FNS_DATA_DIR.`;
  }
  return message;
}

main().catch(fail);
