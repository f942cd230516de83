import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { packageRoot } from './connection.js';
import { CliError, EXIT } from './failure.js';
import { tellFailure } from './output.js';
import { fnsProgram } from './program.js';

/** The `fns` command. Ends with an exit code of failure.ts. */
async function main(argv: string[]): Promise<number> {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  try {
    await fnsProgram(version).parseAsync(argv);
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    // commander has told already what was wrong with the arguments.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const failure = error instanceof CliError ? error : new CliError(`This is a bug of fns: ${(error as Error).stack}`);
    return tellFailure(failure, argv.includes('--json'));
  }
}

// A reader that closes early (`fns logs | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
});

main(process.argv).then((code) => {
  process.exitCode = code;
});
