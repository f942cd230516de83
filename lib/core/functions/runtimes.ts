import { type FieldFault, Refusal } from '../refusal.js';
import { canonicalRuntime, RUNTIMES, type Runtime } from './model.js';

/** All runtimes, those of this machine first: whoever picks the first that fits picks one that works. */
export function listed(here: ReadonlySet<Runtime>): string {
  const works = RUNTIMES.filter((each) => here.has(each));
  const others = RUNTIMES.filter((each) => !here.has(each));
  return others.length === 0 ? works.join(', ') : `${works.join(', ')}; known, but not on this machine: ${others.join(', ')}`;
}

export function runtimeFault(text: string, here: ReadonlySet<Runtime>): FieldFault | undefined {
  if (canonicalRuntime(text)) return undefined;
  return { field: 'runtime', message: `'${text.slice(0, 60)}' is not a runtime`, allowed: listed(here) };
}

/** How a known runtime comes to a machine that lacks it. */
export function howToGet(runtime: Runtime): string {
  const node = /^nodejs(\d+)$/.exec(runtime)?.[1];
  if (node) return `Start FNS with Node.js ${node}, or choose another Node.js runtime.`;
  const python = /^python(3\.\d+)$/.exec(runtime)?.[1];
  if (python)
    return `Install Python ${python} for all users (for example: apt install python${python}, or brew install python@${python}), then start FNS again.`;
  return 'This release runs Node.js and Python functions on one machine.';
}

export const missingHere = (runtime: Runtime): string => `Runtime '${runtime}' is not on this machine. ${howToGet(runtime)}`;

export const runtimeNotHere = (runtime: Runtime): Refusal => new Refusal(409, 'FNS_409_RUNTIME_NOT_HERE', missingHere(runtime));
