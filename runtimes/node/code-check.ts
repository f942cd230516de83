import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import Module from 'node:module';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import * as vm from 'node:vm';
import { compileFunction, Script } from 'node:vm';

/**
 * Checks JavaScript at deploy and compiles what is large, without running any of it: V8 itself parses, as it will in the slot.
 * Arguments: folder of the code, folder for V8's compiled form (may be empty). Prints one JSON list of {file, line, message}.
 * Runs with --experimental-vm-modules, for only that parses ES modules without linking them.
 */

/** Below this, reading the compiled form costs about what compiling does (2 MB of code: 75 ms to load, 39 with it). */
const COMPILED_FROM_BYTES = 100 * 1024;

type Kind = 'module' | 'script' | 'either';
interface Fault {
  file: string;
  line?: number;
  message: string;
}

/** ES modules are parsed through this; types do not know it. */
const { SourceTextModule } = vm as unknown as {
  SourceTextModule: new (source: string, options: { identifier: string; context?: object }) => unknown;
};

const [folder = '', target = ''] = process.argv.slice(2);

function* sources(at: string): Generator<string> {
  for (const entry of readdirSync(join(folder, at), { withFileTypes: true })) {
    const path = at ? `${at}/${entry.name}` : entry.name;
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.isFile() && /\.[cm]?js$/.test(entry.name)) yield path;
  }
}

/** As Node decides it; a .js file whose package.json says nothing may be either. */
function kindOf(path: string): Kind {
  if (path.endsWith('.mjs')) return 'module';
  if (path.endsWith('.cjs')) return 'script';
  for (let at = dirname(path); ; at = dirname(at)) {
    const manifest = join(folder, at, 'package.json');
    if (existsSync(manifest)) {
      try {
        const { type } = JSON.parse(readFileSync(manifest, 'utf8')) as { type?: string };
        return type === 'module' ? 'module' : type === 'commonjs' ? 'script' : 'either';
      } catch {
        return 'either';
      }
    }
    if (at === '.' || at === '') return 'either';
  }
}

function faultOf(path: string, error: unknown): Fault {
  const { message, stack } = error as Error;
  // V8 puts `file:line` before the message.
  const line = /^(.*):(\d+)\n/.exec(stack ?? '')?.[2];
  return { file: path, line: line === undefined ? undefined : Number(line), message: `${(error as Error).name ?? 'Error'}: ${message}` };
}

function asScript(path: string, source: string): Fault | undefined {
  try {
    compileFunction(source, ['exports', 'require', 'module', '__filename', '__dirname'], { filename: path });
    return undefined;
  } catch (error) {
    return faultOf(path, error);
  }
}

function asModule(path: string, source: string): Fault | undefined {
  try {
    new SourceTextModule(source, { identifier: path });
    return undefined;
  } catch (error) {
    return { ...faultOf(path, error), line: lineInModule(source) };
  }
}

/** A module's error says no line here; node itself prints it, and runs nothing either. */
function lineInModule(source: string): number | undefined {
  const { stderr } = spawnSync(process.execPath, ['--check', '--input-type=module', '-'], {
    input: source,
    encoding: 'utf8',
    timeout: 5000,
    env: {},
  });
  const line = /^\[stdin\]:(\d+)$/m.exec(stderr ?? '')?.[1];
  return line === undefined ? undefined : Number(line);
}

const ES_SYNTAX = /^\s*(import|export)\b/m;

function check(path: string, source: string, kind: Kind): Fault | undefined {
  if (kind === 'module') return asModule(path, source);
  const fault = asScript(path, source);
  if (!fault || kind === 'script') return fault;
  const second = asModule(path, source);
  return second && (ES_SYNTAX.test(source) ? second : fault);
}

/** Every function compiled, so that loading finds none to do; `<target>/<path>.v8`, read by the bootstrap. */
function compile(path: string, source: string): void {
  setFlagsFromString('--no-lazy');
  const script = new Script((Module as unknown as { wrap(source: string): string }).wrap(source), { filename: path });
  setFlagsFromString('--lazy');
  const file = join(target, `${path}.v8`);
  mkdirSync(dirname(file), { recursive: true });
  // Synced: V8 trusts what it reads, and half a file after a power cut would end slots.
  const descriptor = openSync(file, 'w', 0o644);
  writeSync(descriptor, script.createCachedData());
  fsyncSync(descriptor);
  closeSync(descriptor);
}

const faults: Fault[] = [];
for (const path of sources('')) {
  const inPackages = path.split('/').includes('node_modules');
  const source = readFileSync(join(folder, path), 'utf8').replace(/^#!.*/, '');
  const kind = kindOf(path);
  const large = target !== '' && source.length >= COMPILED_FROM_BYTES;
  // Packages carry files that never run here (templates, tests, browser code): theirs are no fault of the code.
  if (inPackages && !large) continue;
  const fault = check(path, source, kind);
  if (fault && !inPackages) faults.push(fault);
  if (!fault && large && kind !== 'module' && asScript(path, source) === undefined) compile(path, source);
}
process.stdout.write(JSON.stringify(faults));
