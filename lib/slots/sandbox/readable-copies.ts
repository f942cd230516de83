import { chmodSync, copyFileSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

/**
 * Bootstraps may lie below a private home, where a slot's user cannot read them: each file that a slot's command line names
 * is copied once into a folder that all users may read and only the platform may write.
 */
export class ReadableCopies {
  private readonly known = new Map<string, string>();

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  }

  /** The readable path for an argument that names a file of ours; any other argument as it is. */
  of(argument: string): string {
    const known = this.known.get(argument);
    if (known) return known;
    const readable = this.copied(argument);
    this.known.set(argument, readable);
    return readable;
  }

  private copied(argument: string): string {
    if (!argument.startsWith('/') || argument.startsWith('/usr/') || !existsSync(argument) || !statSync(argument).isFile()) return argument;
    const folder = join(this.folder, String(this.known.size));
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const copy = join(folder, basename(argument));
    copyFileSync(argument, copy);
    chmodSync(copy, 0o644);
    return copy;
  }
}
