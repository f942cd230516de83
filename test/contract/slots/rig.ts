import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../../../lib/core/clock.js';
import type { FunctionId, RequestId, TenantId } from '../../../lib/core/ids.js';
import type { LogLine } from '../../../lib/core/logs/model.js';
import type { SlotCall, SlotEnd, SlotSpec } from '../../../lib/core/scheduling/port.js';
import type { SlotEvent } from '../../../lib/slots/events.js';
import { SlotInvoker, type SlotInvokerOptions } from '../../../lib/slots/invoker.js';
import type { LaunchedSlot, Launcher, LaunchRequest } from '../../../lib/slots/launcher.js';
import { PlainLauncher } from '../../../lib/slots/plain-launcher.js';

const ROOT = resolve(__dirname, '../../..');
let bundle: string | undefined;

/** The bootstrap as it is now, not as it was built last. */
function bootstrap(): string {
  if (bundle) return bundle;
  const folder = mkdtempSync(join(tmpdir(), 'fns-bootstrap-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  bundle = join(folder, 'runtime-node.js');
  const options = ['--bundle', '--platform=node', '--target=node20', '--format=cjs', '--log-level=error', `--outfile=${bundle}`];
  execFileSync(join(ROOT, 'node_modules/esbuild/bin/esbuild'), [join(ROOT, 'runtimes/node/bootstrap.ts'), ...options]);
  return bundle;
}

/** Real time, which a test may set forward. */
export class TestClock implements Clock {
  private aheadMs = 0;
  private readonly timers = new Set<NodeJS.Timeout>();
  now = (): number => Date.now() + this.aheadMs;
  monotonicMs = (): number => performance.now() + this.aheadMs;
  after(delayMs: number, run: () => void): () => void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      run();
    }, delayMs);
    this.timers.add(timer);
    return () => clearTimeout(timer);
  }
  skip(ms: number): void {
    this.aheadMs += ms;
  }
  stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }
}

/** A launcher that remembers what it launched. */
class WatchedLauncher implements Launcher {
  readonly launched: LaunchedSlot[] = [];
  private readonly plain = new PlainLauncher();
  async launch(request: LaunchRequest): Promise<LaunchedSlot> {
    const slot = await this.plain.launch(request);
    this.launched.push(slot);
    return slot;
  }
}

export type Ran = Extract<SlotEnd, { durationMs: number }>;

/** An invoker with real processes, code in a folder of its own, and what it logged and told. */
export class Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'fns-slots-'));
  readonly clock = new TestClock();
  readonly lines: LogLine[] = [];
  readonly events: SlotEvent[] = [];
  readonly launcher = new WatchedLauncher();
  readonly invoker: SlotInvoker;
  private made = 0;

  constructor(options: Partial<SlotInvokerOptions> & { spares?: number } = {}) {
    const { spares = 1, ...rest } = options;
    this.invoker = new SlotInvoker({
      launcher: this.launcher,
      clock: this.clock,
      logs: { append: (line) => this.lines.push(line) },
      command: (_runtime, memoryMb) => ({
        kind: 'node',
        argv: [process.execPath, `--max-old-space-size=${memoryMb}`, bootstrap()],
        spares,
      }),
      prepareAtStart: ['nodejs20'],
      folders: async (spec) => ({ code: join(this.folder, spec.codeSha256), layers: spec.layers.map((layer) => join(this.folder, layer)) }),
      onEvent: (event) => this.events.push(event),
      ...rest,
    });
  }

  /** A function with this code; a text is its index.js. */
  fn(code: string | Record<string, string>, settings: Partial<SlotSpec> = {}): SlotSpec {
    this.made += 1;
    const name = `f${this.made}`;
    this.write(name, typeof code === 'string' ? { 'index.js': code } : code);
    return {
      key: `${name}:1`,
      tenantId: 'default' as TenantId,
      namespace: 'default',
      functionId: `fn_${name}` as FunctionId,
      functionName: name,
      version: '$LATEST',
      codeSha256: name,
      minSlots: 0,
      runtime: 'nodejs20',
      handler: 'index.handler',
      memoryMb: 128,
      timeoutSec: 5,
      env: {},
      layers: [],
      processModel: 'resident',
      network: 'internet',
      concurrency: { perSlot: 1 },
      ...settings,
    };
  }

  write(name: string, files: Record<string, string>): void {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.folder, name, path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
  }

  call(payload: unknown = {}, more: Partial<SlotCall> = {}): SlotCall {
    this.made += 1;
    const requestId = `req_${String(this.made).padStart(26, '0')}` as RequestId;
    return { requestId, attempt: 1, payload: JSON.stringify(payload), slotWaitMs: 10_000, ...more };
  }

  async run(spec: SlotSpec, payload: unknown = {}, more: Partial<SlotCall> = {}): Promise<Ran> {
    const end = await this.invoker.run(spec, this.call(payload, more));
    if (!('durationMs' in end)) throw new Error(`did not run: ${JSON.stringify(end)}`);
    return end;
  }

  /** The parsed result; anything but success is told in full. */
  async result(spec: SlotSpec, payload: unknown = {}, more: Partial<SlotCall> = {}): Promise<unknown> {
    const end = await this.run(spec, payload, more);
    if (end.kind !== 'succeeded') throw new Error(JSON.stringify(end));
    return JSON.parse(end.result);
  }

  async failure(spec: SlotSpec, payload: unknown = {}): Promise<Exclude<Ran, { kind: 'succeeded' }>> {
    const end = await this.run(spec, payload);
    if (end.kind === 'succeeded') throw new Error(`succeeded: ${end.result}`);
    return end;
  }

  messages(requestId?: string): string[] {
    return this.lines.filter((line) => requestId === undefined || line.requestId === requestId).map(({ message }) => message);
  }

  async until<T>(what: string, read: () => T | undefined | false, withinMs = 5000): Promise<T> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const value = read();
      if (value) return value;
      if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
      await new Promise((done) => setTimeout(done, 5));
    }
  }

  async close(): Promise<void> {
    await this.invoker.drain(0);
    this.clock.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
