import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** The folder beside a bootstrap that holds the modules it is made of. */
const PARTS = '_fns_runtime';

const COMPILE_MS = 30_000;

/**
 * Bootstraps may lie below a private home, where a slot's user cannot read them: each file that a slot's command line names
 * is copied once, with its parts, into a folder of its own that all users may read and only the platform may write.
 */
export class ReadableCopies {
  private readonly known = new Map<string, string>();
  private readonly compiling = new Map<string, Promise<void>>();

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  }

  /** A slot's command line in readable paths: its program stays, files of ours are copies. */
  command([program = '', ...rest]: readonly string[]): string[] {
    return [program, ...rest.map((argument) => this.of(argument, program))];
  }

  /** Once nothing is written here any more. */
  async settled(): Promise<void> {
    await Promise.all(this.compiling.values());
  }

  private of(argument: string, program: string): string {
    let readable = this.known.get(argument);
    if (readable === undefined) {
      readable = this.copied(argument);
      this.known.set(argument, readable);
    }
    if (readable !== argument && readable.endsWith('.py')) this.compile(program, join(dirname(readable), PARTS));
    return readable;
  }

  private copied(argument: string): string {
    if (!argument.startsWith('/') || argument.startsWith('/usr/') || !existsSync(argument) || !statSync(argument).isFile()) return argument;
    const folder = join(this.folder, String(this.known.size));
    // An earlier version may have had parts that this one has not.
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const copy = readableCopy(argument, folder);
    const parts = join(dirname(argument), PARTS);
    if (existsSync(parts)) copyParts(parts, join(folder, PARTS));
    return copy;
  }

  /**
   * A slot cannot write here, so that the platform keeps the bytecode for it, once for each interpreter. Nobody waits for that:
   * a slot that starts earlier compiles for itself, and Python puts whole files in place.
   */
  private compile(interpreter: string, parts: string): void {
    const key = `${interpreter} ${parts}`;
    if (this.compiling.has(key) || !existsSync(parts)) return;
    const child = spawn(interpreter, ['-I', '-m', 'compileall', '-q', parts], { env: {}, cwd: '/', stdio: 'ignore', timeout: COMPILE_MS });
    this.compiling.set(key, new Promise((resolve) => child.once('close', () => resolve()).once('error', () => resolve())));
  }
}

function readableCopy(file: string, folder: string): string {
  const copy = join(folder, basename(file));
  copyFileSync(file, copy);
  chmodSync(copy, 0o644);
  return copy;
}

function copyParts(from: string, to: string): void {
  mkdirSync(join(to, '__pycache__'), { recursive: true, mode: 0o755 });
  for (const name of readdirSync(from)) if (name.endsWith('.py')) readableCopy(join(from, name), to);
}
