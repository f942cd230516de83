/** How `fns` ends; told in `fns --help`. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3, forbidden: 4 } as const;

/** Ends the command with a message for people: what was wrong, and what to do next. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    message: string,
    readonly exitCode: number = EXIT.failed,
    /** What to try next, if anything. */
    readonly hint?: string,
    /** For --json. */
    readonly problem?: unknown,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export const usageError = (message: string, hint?: string): CliError => new CliError(message, EXIT.usage, hint);
