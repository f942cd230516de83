import pc from 'picocolors';
import { type CliError, EXIT } from './failure.js';

/** Results go to stdout, all else to stderr, so that output can be piped. */
export interface Output {
  json: boolean;
  /** A result: as JSON with --json, else as the text. */
  result(value: unknown, text: () => string): void;
  line(text: string): void;
  /** For people only: left out with --json. */
  note(text: string): void;
  /** A line that overwrites itself on a terminal; silent elsewhere. Call with '' at the end. */
  progress(text: string): void;
}

export function output(json: boolean, stdout: NodeJS.WriteStream = process.stdout, stderr: NodeJS.WriteStream = process.stderr): Output {
  let shown = false;
  const progress = (text: string): void => {
    if (json || !stderr.isTTY || (text === '' && !shown)) return;
    stderr.write(`\r\u001b[K${text.slice(0, (stderr.columns ?? 80) - 1)}`);
    shown = text !== '';
  };
  const line = (text: string): void => {
    progress('');
    stdout.write(`${text}\n`);
  };
  return {
    json,
    line,
    progress,
    result: (value, text) => {
      const plain = json ? JSON.stringify(value, null, 2) : text();
      if (plain !== '') line(plain);
    },
    note: (text) => {
      if (json) return;
      progress('');
      stderr.write(`${text}\n`);
    },
  };
}

export type Column<T> = [title: string, of: (row: T) => string | number | boolean | null | undefined, align?: 'right'];

/** A table with two blanks between its columns; `nothing` where there is no row. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], nothing: string): string {
  if (rows.length === 0) return pc.dim(nothing);
  const cells = rows.map((row) => columns.map(([, of]) => printable(String(of(row) ?? ''))));
  const widths = columns.map(([title], at) => Math.max(title.length, ...cells.map((row) => (row[at] as string).length)));
  const format = (row: string[]): string =>
    row
      .map((cell, at) => (columns[at]?.[2] === 'right' ? cell.padStart(widths[at] as number) : cell.padEnd(widths[at] as number)))
      .join('  ')
      .trimEnd();
  return [pc.bold(format(columns.map(([title]) => title))), ...cells.map(format)].join('\n');
}

/** Text of others on a terminal: without control signs, which could move the cursor or hide what stands before. */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (sign) => (sign === '\u001b' ? '' : '\ufffd'));

/** Tells a failure, and gives the exit code. */
export function tellFailure(error: CliError, json: boolean, stderr: { write(text: string): unknown } = process.stderr): number {
  const { message, hint, exitCode, problem } = error;
  if (json) stderr.write(`${JSON.stringify({ error: problem ?? { detail: message, hint }, exitCode })}\n`);
  else stderr.write(`${pc.red('fns:')} ${printable(message)}${hint ? `\n     ${hint}` : ''}\n`);
  return exitCode || EXIT.failed;
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(3, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toFixed(1)} ${['B', 'KB', 'MB', 'GB'][power]}`;
}
