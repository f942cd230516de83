import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/clock.js';
import type { Runtime } from '../core/functions/model.js';
import type { CodeStore } from '../core/functions/port.js';
import type { LogSink } from '../core/logs/model.js';
import type { SlotEvent } from '../slots/events.js';
import { SlotInvoker } from '../slots/invoker.js';
import type { Launcher } from '../slots/launcher.js';
import { Leftovers } from '../slots/leftovers.js';
import { AttemptMeter } from '../slots/meter.js';
import { SlotCodePreparer } from '../slots/prepare/preparer.js';
import type { RuntimeCommand } from '../slots/prepared.js';
import type { SandboxFound } from '../slots/sandbox/probe.js';
import { openSandbox } from '../slots/sandbox/sandbox.js';
import { distFile, packageRoot } from './paths.js';

export interface ExecutionOptions {
  dataDir: string;
  /** Not better than this tier; absent: the best that works here. */
  tier: 'A' | 'B' | 'C' | undefined;
  clock: Clock;
  onFault(error: unknown): void;
  /** Resolves once the data folder is locked by this platform: what an earlier one left is ended then, not before. */
  locked: Promise<unknown>;
}

/** What this machine runs functions with: found once at the start, by trying. */
export class Execution {
  readonly meter: AttemptMeter;
  readonly preparer: SlotCodePreparer;
  private readonly runtimes: ReadonlySet<Runtime>;
  private readonly leftovers: Leftovers;

  private constructor(
    readonly sandbox: SandboxFound,
    private readonly launcher: Launcher,
    private readonly options: ExecutionOptions,
  ) {
    const works = sandbox.runtimes.filter((each) => each.works);
    this.runtimes = new Set(works.map((each) => each.runtime));
    this.meter = new AttemptMeter(meterFolder(options.dataDir));
    this.leftovers = leftoversOf(options.dataDir);
    this.preparer = new SlotCodePreparer({
      interpreters: works,
      nodeChecker: distFile('code-check.js'),
      pythonCompiler: join(packageRoot(), 'runtimes', 'python', 'compile.py'),
    });
  }

  static async open(options: ExecutionOptions): Promise<Execution> {
    const tiers = { A: ['A', 'B', 'C'], B: ['B', 'C'], C: ['C'] } as const;
    const { found, launcher } = await openSandbox({ dataDir: options.dataDir, tiers: tiers[options.tier ?? 'A'], locked: options.locked });
    return new Execution(found, launcher, options);
  }

  runtimesHere(): ReadonlySet<Runtime> {
    return this.runtimes;
  }

  invoker(parts: {
    code: CodeStore;
    logs: LogSink;
    validateJson(text: string): boolean | Promise<boolean>;
    onEvent(event: SlotEvent): void;
  }): SlotInvoker {
    return new SlotInvoker({
      clock: this.options.clock,
      launcher: this.launcher,
      leftovers: this.leftovers,
      meter: this.meter,
      logs: parts.logs,
      validateJson: parts.validateJson,
      onEvent: parts.onEvent,
      onFault: this.options.onFault,
      command: (runtime, memoryMb) => this.command(runtime, memoryMb),
      prepareAtStart: [...this.runtimes].filter((runtime) => /^(nodejs|python)/.test(runtime)),
      folders: async (spec) => {
        const code = await parts.code.folder(spec.codeSha256);
        return { code, layers: [], cache: this.preparer.cacheFor(spec.runtime, code) };
      },
    });
  }

  /** After the invoker has drained, which ends its launcher. */
  close(): void {
    this.meter.close();
  }

  /** How a slot of this runtime is started. */
  private command(runtime: Runtime, memoryMb: number): RuntimeCommand | undefined {
    const found = this.sandbox.runtimes.find((each) => each.runtime === runtime && each.works);
    if (!found) return undefined;
    if (runtime.startsWith('python')) {
      return {
        kind: 'python',
        argv: [found.path, '-I', '-X', 'utf8', join(packageRoot(), 'runtimes', 'python', 'bootstrap.py')],
        spares: 1,
      };
    }
    const flags = [`--max-old-space-size=${memoryMb}`, '--max-semi-space-size=2', '--no-warnings'];
    return { kind: 'node', argv: [found.path, ...flags, distFile('runtime-node.js')], spares: 1 };
  }
}

export const meterFolder = (dataDir: string): string => join(dataDir, 'meter');

const leftoversOf = (dataDir: string): Leftovers => new Leftovers(join(dataDir, 'slots.pids'));

/** Ends what an earlier platform on this folder left running, before anything is recovered. */
export function sweepLeftovers(dataDir: string): number {
  return existsSync(dataDir) ? leftoversOf(dataDir).sweep() : 0;
}
