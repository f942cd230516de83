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
import { launcher } from '../slots/sandbox/launch.js';
import { probeSandbox, type SandboxFound } from '../slots/sandbox/probe.js';
import { distFile, packageRoot } from './paths.js';

export interface ExecutionOptions {
  dataDir: string;
  /** Not better than this tier; absent: the best that works here. */
  tier: 'A' | 'B' | 'C' | undefined;
  clock: Clock;
  onFault(error: unknown): void;
}

/** What this machine runs functions with: found once at the start, by trying. */
export class Execution {
  readonly meter: AttemptMeter;
  readonly preparer: SlotCodePreparer;
  private readonly runtimes: ReadonlySet<Runtime>;
  private readonly leftovers: Leftovers;
  private readonly launcher: Launcher;

  private constructor(
    readonly sandbox: SandboxFound,
    private readonly options: ExecutionOptions,
  ) {
    const works = sandbox.runtimes.filter((each) => each.works);
    this.runtimes = new Set(works.map((each) => each.runtime));
    this.meter = new AttemptMeter(meterFolder(options.dataDir));
    this.leftovers = leftoversOf(options.dataDir);
    this.launcher = launcher(sandbox.tier, { dataDir: options.dataDir, mounts: sandbox.mounts });
    this.preparer = new SlotCodePreparer({
      interpreters: works,
      nodeChecker: distFile('code-check.js'),
      pythonCompiler: join(packageRoot(), 'runtimes', 'python', 'compile.py'),
    });
  }

  static async open(options: ExecutionOptions): Promise<Execution> {
    const tiers = { A: ['A', 'B', 'C'], B: ['B', 'C'], C: ['C'] } as const;
    return new Execution(await probeSandbox({ tiers: tiers[options.tier ?? 'A'] }), options);
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

  async close(): Promise<void> {
    await this.launcher.close?.();
    this.meter.close();
  }

  /** How a slot of this runtime is started. */
  private command(runtime: Runtime, memoryMb: number): RuntimeCommand | undefined {
    const found = this.sandbox.runtimes.find((each) => each.runtime === runtime && each.works);
    if (!found) return undefined;
    if (runtime.startsWith('python')) {
      return { kind: 'python', argv: [found.path, '-X', 'utf8', join(packageRoot(), 'runtimes', 'python', 'bootstrap.py')], spares: 1 };
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
