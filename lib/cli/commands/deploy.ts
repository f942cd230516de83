import type { Command } from 'commander';
import pc from 'picocolors';
import { action, command } from '../command.js';
import { usageError } from '../failure.js';
import { closest } from '../project/closest.js';
import { type Deployed, deployFunction } from '../project/deploy.js';
import { PROJECT_FILE, type Project, readProject } from '../project/read.js';

interface Options {
  file: string;
  draft?: boolean;
}

export function deployCommand(program: Command): void {
  command(program, 'deploy [functions...]', `deploy the functions of ${PROJECT_FILE}: settings, code, triggers, and a new version`)
    .option('--file <path>', 'the project file', PROJECT_FILE)
    .option('--draft', 'publish no version')
    .addHelpText('after', `\nTriggers that ${PROJECT_FILE} does not name are removed from functions that have a list of triggers there.`)
    .action(
      action<Options, [string[]]>(async ({ api, out }, names, { file, draft = false }) => {
        const project = readProject(file, process.env);
        const all: Deployed[] = [];
        for (const name of chosen(project, names)) {
          const deployed = await deployFunction(api, out, project, name, draft);
          all.push(deployed);
          out.note(deployedText(deployed));
        }
        if (out.json) out.result({ functions: all }, () => '');
      }),
    );
}

export function chosen(project: Project, names: readonly string[]): string[] {
  const known = Object.keys(project.functions);
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = closest(name, known);
    throw usageError(`${PROJECT_FILE} has no function '${name}'.`, near ? `Did you mean '${near}'?` : `It has ${known.join(', ')}.`);
  }
  return names.length > 0 ? [...names] : known;
}

/** `isAgain`: what stays as it was is told no more. */
export function deployedText(
  { name, action: done, version, functionId, triggers, warnings }: Deployed,
  { tookMs, isAgain = false }: { tookMs?: number; isAgain?: boolean } = {},
): string {
  const what = version === undefined ? 'draft' : `version ${version}`;
  const took = tookMs === undefined ? '' : ` in ${Math.round(tookMs)} ms`;
  const lines = [`${pc.green('✓')} ${pc.bold(name)} ${done}, ${what} ${pc.dim(functionId + took)}`];
  for (const { action: change, trigger } of triggers) {
    if (isAgain && change === 'kept') continue;
    const { type, url, path, methods, schedule, queue, queueUrl, nextRuns } = trigger as Record<string, unknown>;
    const where =
      type === 'http'
        ? `${(methods as string[] | undefined)?.join(',') ?? ''} ${url ?? path}`.trim()
        : type === 'cron'
          ? schedule
          : (queue ?? queueUrl);
    const next = Array.isArray(nextRuns) && nextRuns[0] ? pc.dim(` next ${nextRuns[0]}`) : '';
    lines.push(`  ${change === 'removed' ? pc.red(change) : change} ${type} ${where}${change === 'removed' ? '' : next}`);
  }
  return [...lines, ...warnings.map((warning) => `  ${pc.yellow('!')} ${warning}`)].join('\n');
}
