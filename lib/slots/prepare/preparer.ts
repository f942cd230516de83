import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { CodePreparer } from '../../core/functions/port.js';
import { type CodeFault, handlerFileFault } from './handler-file.js';

const run = promisify(execFile);

/** Longer than any honest code takes; a parser that is fed a bomb ends here. */
const CHECK_MS = 30_000;
const CHECK_HEAP_MB = 1024;
const ANSWER_BYTES = 4 * 1024 * 1024;

export interface Interpreter {
  runtime: string;
  version: string;
  path: string;
}

export interface PreparerOptions {
  /** Interpreters that work here, from the probe. */
  interpreters: readonly Interpreter[];
  /** dist/code-check.js */
  nodeChecker: string;
  /** runtimes/python/compile.py */
  pythonCompiler: string;
}

/**
 * Parses code at deploy and keeps what the parser compiled beside it: `<digest>/compiled-<runtime>` next to `<digest>/code`, so
 * that it goes when the code goes. Parsing happens in a child process with the interpreter that will run the code; none of the
 * code is run.
 */
export class SlotCodePreparer implements CodePreparer {
  constructor(private readonly options: PreparerOptions) {}

  async check(runtime: string, handler: string, folder: string): Promise<CodeFault[]> {
    const kind = kindOf(runtime);
    if (!kind) return [];
    const missing = handlerFileFault(kind, handler, folder);
    if (missing) return [missing];
    const interpreter = this.options.interpreters.find((each) => each.runtime === runtime);
    if (!interpreter) return [];
    const target = compiledFolder(folder, interpreter);
    return existsSync(target) ? [] : this.parse(kind, interpreter, folder, target);
  }

  /** Compiled code for `SlotFolders.cache`; undefined where there is none. */
  cacheFor(runtime: string, folder: string): string | undefined {
    const interpreter = this.options.interpreters.find((each) => each.runtime === runtime);
    const target = interpreter && compiledFolder(folder, interpreter);
    return target && existsSync(target) ? target : undefined;
  }

  private async parse(kind: 'node' | 'python', interpreter: Interpreter, folder: string, target: string): Promise<CodeFault[]> {
    const fresh = `${target}.new-${randomBytes(6).toString('hex')}`;
    await mkdir(fresh, { recursive: true, mode: 0o755 });
    try {
      const faults = await this.parser(kind, interpreter.path, folder, fresh);
      // Kept only where it is whole: an empty one says that there is nothing to gain.
      if (faults.length === 0) await rename(fresh, target).catch(() => undefined);
      return faults;
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }

  private async parser(kind: 'node' | 'python', program: string, folder: string, target: string): Promise<CodeFault[]> {
    const args =
      kind === 'node'
        ? ['--no-warnings', '--experimental-vm-modules', `--max-old-space-size=${CHECK_HEAP_MB}`, this.options.nodeChecker, folder, target]
        : ['-I', '-X', 'utf8', this.options.pythonCompiler, folder, target];
    try {
      const { stdout } = await run(program, args, { timeout: CHECK_MS, maxBuffer: ANSWER_BYTES, killSignal: 'SIGKILL', env: {}, cwd: '/' });
      return JSON.parse(stdout) as CodeFault[];
    } catch (error) {
      const { killed, stderr } = error as { killed?: boolean; stderr?: string };
      const why = killed ? `took longer than ${CHECK_MS / 1000} s` : ((stderr ?? '').trim().split('\n').at(-1) ?? '').slice(0, 200);
      return [
        {
          file: (await readdir(folder))[0] ?? '',
          message: `the code could not be parsed: ${why || (error as Error).message.slice(0, 200)}`,
        },
      ];
    }
  }
}

const kindOf = (runtime: string): 'node' | 'python' | undefined =>
  runtime.startsWith('nodejs') ? 'node' : runtime.startsWith('python') ? 'python' : undefined;

/** Bytecode and V8's data belong to one version of the interpreter. */
const compiledFolder = (folder: string, { runtime, version }: Interpreter): string =>
  join(dirname(folder), `compiled-${runtime}-${version}`);
