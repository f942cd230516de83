import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { PlatformFault } from '../../core/refusal.js';
import { isRoot, systemTool } from './tools.js';

const run = promisify(execFile);
let known: Promise<string[]> | undefined;

async function probe(): Promise<string[]> {
  const unshare = systemTool('unshare');
  if (!unshare) throw new PlatformFault('`network: none` cannot be enforced here: `unshare` (package util-linux) is missing');
  const prefix = isRoot() ? [unshare, '--net', '--'] : [unshare, '--user', '--map-current-user', '--net', '--'];
  const [program = '', ...args] = prefix;
  await run(program, [...args, '/bin/true']).catch((cause: unknown) => {
    throw new PlatformFault('`network: none` cannot be enforced here: network namespaces are not allowed', { cause });
  });
  return prefix;
}

/** Words before a command that take every network from it. Rejects where that is not possible: none must mean none. */
export function withoutNetwork(): Promise<string[]> {
  known ??= probe();
  return known;
}
