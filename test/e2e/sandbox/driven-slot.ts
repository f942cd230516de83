import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Assignment, encodeCalls, encodeFrame, Frame, FrameReader } from '../../../lib/slots/frames.js';
import type { LaunchedSlot, Launcher, LaunchRequest, SeenFolders, SlotKind } from '../../../lib/slots/launcher.js';

const root = resolve(__dirname, '../../..');
const BOOTSTRAP = { node: join(root, 'dist/runtime-node.js'), python: join(root, 'runtimes/python/bootstrap.py') };

export interface Answer {
  result?: unknown;
  error?: { type: string; message: string; stack?: string[] };
  logs: string;
  /** The slot ended instead of answering. */
  ended?: { code: number | null; signal: string | null; oom: boolean };
}

export interface DriveOptions {
  kind: SlotKind;
  interpreter: string;
  files: Record<string, string>;
  memoryMb?: number;
  network?: LaunchRequest['network'];
  /** Where the code is put: below the platform's data folder, as in production. */
  dataDir: string;
  assignment?: Partial<Assignment>;
  cache?: string;
}

/** A slot driven by hand, one frame at a time, as the pool does it. */
export class DrivenSlot {
  private readonly frames: { type: number; body: Buffer }[] = [];
  private wake: () => void = () => undefined;
  private lastId = 0;
  /** What arrived on raw descriptors 1 and 2. */
  raw = '';

  private constructor(
    readonly launched: LaunchedSlot,
    readonly kind: SlotKind,
  ) {
    const reader = new FrameReader(
      () => 64 * 1024 * 1024,
      (type, bytes, from, to) => {
        this.frames.push({ type, body: Buffer.from(bytes.subarray(from, to)) });
        this.wake();
      },
    );
    launched.socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch {
        // Forged: the pool ends the slot too.
        launched.socket.removeAllListeners('data').resume();
        launched.kill();
      }
    });
    launched.socket.on('error', () => undefined);
    for (const stream of [launched.stdout, launched.stderr]) stream.on('data', (chunk: Buffer) => (this.raw += chunk.toString()));
    void launched.exited.then(() => setImmediate(() => this.wake()));
  }

  /** Starts a process whose function is not known yet. */
  static async prepare(launcher: Launcher, { kind, interpreter, memoryMb = 128, network = 'none' }: DriveOptions): Promise<DrivenSlot> {
    const flags = kind === 'node' ? [`--max-old-space-size=${memoryMb}`] : ['-I', '-X', 'utf8'];
    const launched = await launcher.launch({
      kind,
      argv: [interpreter, ...flags, BOOTSTRAP[kind]],
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', HOME: '/tmp' },
      memoryMb,
      network,
    });
    return new DrivenSlot(launched, kind);
  }

  static async start(launcher: Launcher, options: DriveOptions): Promise<DrivenSlot> {
    const slot = await DrivenSlot.prepare(launcher, options);
    const failed = await slot.assign(options);
    if (failed) throw new Error(`not ready: ${JSON.stringify(failed)} ${slot.raw}`);
    return slot;
  }

  /** Gives the process its function; answers why it could not be loaded, if so. */
  async assign(options: DriveOptions): Promise<Answer | undefined> {
    const { memoryMb = 128 } = options;
    const code = codeFolder(options);
    const seen: SeenFolders = await this.launched.assign({ tenantId: 't' as never, code, layers: [], memoryMb, cache: options.cache });
    this.send(
      encodeFrame(
        Frame.ASSIGN,
        JSON.stringify({
          ...{ functionId: 'fn_1', functionName: 'probe', version: '$LATEST', handler: 'index.handler', memoryMb, timeoutSec: 3 },
          ...{ tenant: 'acme', namespace: 'default', env: { MINE: 'yes' }, perSlot: 1, resultBytes: 6e6, logBytes: 1e6 },
          ...options.assignment,
          ...seen,
        }),
      ),
    );
    const first = await this.answer();
    return first.result === 'ready' ? undefined : first;
  }

  async call(payload: unknown): Promise<Answer> {
    this.post(payload);
    return this.answer();
  }

  /** Sends a call without waiting for its answer. */
  post(payload: unknown, streamed = false): number {
    this.lastId += 1;
    const call = {
      id: this.lastId,
      attempt: 2,
      streamed,
      requestId: `req_${this.lastId}`,
      triggerId: '',
      payload: JSON.stringify(payload),
    };
    this.send(encodeCalls([call]));
    return this.lastId;
  }

  send(bytes: Uint8Array): void {
    this.launched.socket.write(bytes);
  }

  /** The next frame; undefined once the process has ended and nothing is left. */
  async frame(): Promise<{ type: number; body: Buffer } | undefined> {
    const ended = this.launched.exited.then(() => new Promise((done) => setTimeout(done, 20)));
    while (this.frames.length === 0) {
      const next = new Promise<'frame'>((done) => {
        this.wake = () => done('frame');
      });
      if ((await Promise.race([next, ended])) !== 'frame') break;
    }
    return this.frames.shift();
  }

  async answer(): Promise<Answer> {
    let logs = '';
    for (;;) {
      const frame = await this.frame();
      if (!frame) return { logs, ended: await this.launched.exited };
      const { type, body } = frame;
      if (type === Frame.READY) return { result: 'ready', logs };
      if (type === Frame.INIT_FAILED) return { error: JSON.parse(body.toString()), logs };
      if (type === Frame.LOG) logs += body.subarray(5).toString();
      if (type === Frame.RESULT) return { result: JSON.parse(body.subarray(4).toString()), logs };
      if (type === Frame.ERROR || type === Frame.BROKEN) return { error: JSON.parse(body.subarray(4).toString()), logs };
    }
  }

  async end(): Promise<void> {
    this.launched.kill();
    await this.launched.exited;
  }
}

function codeFolder({ dataDir, files }: DriveOptions): string {
  const code = join(dataDir, 'code');
  mkdirSync(code, { recursive: true });
  const folder = join(mkdtempSync(join(code, 'sha-')), 'code');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

if (!existsSync(BOOTSTRAP.node)) throw new Error('dist/ is missing: run `node scripts/ready.mjs`');
