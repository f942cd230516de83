import { join, resolve } from 'node:path';
import { watch } from 'chokidar';
import type { Command } from 'commander';
import pc from 'picocolors';
import { Client } from '../client.js';
import { action, type Context, command } from '../command.js';
import { dataFolder } from '../connection.js';
import { CliError } from '../failure.js';
import { followLogs, logText } from '../log-lines.js';
import { answers, startPlatform } from '../platform-process.js';
import { deployFunction, fingerprint } from '../project/deploy.js';
import { PROJECT_FILE, type Project, readProject } from '../project/read.js';
import { deployedText } from './deploy.js';

/** Editors write a file in several steps. */
const SETTLE_MS = 80;

export function devCommand(program: Command): void {
  command(program, 'dev', 'start a platform if none runs, deploy, redeploy on every change, and show logs; ends with Ctrl-C')
    .option('--file <path>', 'the project file', PROJECT_FILE)
    .action(action<{ file: string }, []>(dev));
}

async function dev(context: Context, { file }: { file: string }): Promise<void> {
  const stop = context.interrupted();
  const first = readProject(file, process.env);
  const { api, end } = await platform(context);
  try {
    const session = new DevSession({ ...context, api }, file, stop);
    await session.run(first);
  } finally {
    await end();
  }
}

async function platform({ api, out, cwd }: Context): Promise<{ api: Client; end(): Promise<void> }> {
  const { url, key, keyFrom } = api.to;
  if (await answers(url)) {
    out.note(pc.dim(`using the platform on ${url}`));
    return { api, end: async () => {} };
  }
  // The same folder as `npm start` keeps: what is deployed here is there tomorrow, under the same key.
  const dataDir = dataFolder(process.env, cwd);
  out.note(pc.dim(`no platform on ${url}: starting one, data in ${dataDir} …`));
  const own = await startPlatform(url, dataDir);
  const end = async (): Promise<void> => {
    out.note(pc.dim('stopping the platform …'));
    await own.stop();
  };
  // A key that was said may be a tenant's; one that was found lying about may be of another platform.
  const isSaid = key !== undefined && (keyFrom === '--api-key' || keyFrom === 'FNS_API_KEY');
  const to = isSaid ? api.to : { url, key: own.key, keyFrom: join(dataDir, 'credentials.json') };
  return { api: new Client(to), end };
}

class DevSession {
  private readonly deployedAs = new Map<string, string>();
  private readonly following = new Set<string>();
  private readonly tasks: Promise<void>[] = [];
  private busy = Promise.resolve();

  constructor(
    private readonly context: Context,
    private readonly file: string,
    private readonly stop: AbortSignal,
  ) {}

  async run(project: Project): Promise<void> {
    await this.deploy(project);
    const watcher = watch([project.file, ...new Set(Object.values(project.functions).map(({ code }) => resolve(project.folder, code)))], {
      ignoreInitial: true,
      ignored: /(^|[/\\])(\.git|\.fns|node_modules[/\\]\.cache|__pycache__)([/\\]|$)/,
    });
    let timer: NodeJS.Timeout | undefined;
    watcher.on('all', () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.changed(), SETTLE_MS);
    });
    await new Promise<void>((done) => {
      watcher.once('ready', () => this.context.out.note(pc.dim('watching for changes; Ctrl-C ends')));
      if (this.stop.aborted) done();
      this.stop.addEventListener('abort', () => done(), { once: true });
    });
    clearTimeout(timer);
    await watcher.close();
    await Promise.all([this.busy, ...this.tasks]);
  }

  /** One deploy at a time; a mistake is told and waits for the next change. */
  private changed(): void {
    this.busy = this.busy.then(async () => {
      try {
        await this.deploy(readProject(this.file, process.env));
      } catch (error) {
        this.tell(error);
      }
    });
  }

  private async deploy(project: Project): Promise<void> {
    const { api, out } = this.context;
    for (const name of Object.keys(project.functions)) {
      try {
        const print = await fingerprint(project, name);
        if (this.deployedAs.get(name) === print) continue;
        const startedAt = performance.now();
        const deployed = await deployFunction(api, out, project, name, true);
        this.deployedAs.set(name, print);
        out.note(deployedText(deployed, { tookMs: performance.now() - startedAt, isAgain: this.following.has(deployed.functionId) }));
        if (out.json) out.line(JSON.stringify({ deployed }));
        this.follow(name, deployed.functionId);
      } catch (error) {
        this.tell(error);
      }
    }
  }

  private follow(name: string, functionId: string): void {
    if (this.following.has(functionId)) return;
    this.following.add(functionId);
    const { api, out } = this.context;
    const show = followLogs(api, functionId, {}, this.stop, (line) =>
      out.line(out.json ? JSON.stringify({ function: name, ...line }) : logText(line, name)),
    );
    this.tasks.push(show.catch((error) => this.tell(error)));
  }

  private tell(error: unknown): void {
    if (!(error instanceof CliError)) throw error;
    this.context.out.note(`${pc.red('✗')} ${error.message}${error.hint ? `\n  ${error.hint}` : ''}`);
  }
}
