import { Worker } from 'node:worker_threads';
import { DEFAULTS } from '../../core/defaults.js';
import { PlatformFault } from '../../core/refusal.js';
import type { Envelope } from './envelope.js';
import type { AnswerTo, JsonQuestion, JsonReply, Question } from './protocol.js';
import { isJson, readEnvelope } from './text.js';

type Waiting = { resolve: (answer: JsonReply['answer']) => void; reject: (error: Error) => void };

/**
 * JSON of any size: small texts in place, where handing over would cost more than the work, larger ones in one worker thread, so that
 * a 6 MB body never stops the others. The thread starts with its first question, and again with the next one if it died.
 */
export class JsonThread {
  private worker: Worker | undefined;
  private lastId = 0;
  private readonly waiting = new Map<number, Waiting>();

  /** @param script path of the bundled json-thread.js. */
  constructor(private readonly script: string) {}

  /** Consumes `body`: a large one is handed over to the thread, not copied. */
  envelope(body: Buffer): Envelope | Promise<Envelope> {
    return body.length > DEFAULTS.inlineJsonBytes ? this.envelopeElsewhere(body) : readEnvelope(body);
  }

  /** For results. */
  isJson(text: string): boolean | Promise<boolean> {
    return text.length > DEFAULTS.inlineJsonBytes ? this.ask({ ask: 'isJson', text }) : isJson(text);
  }

  private envelopeElsewhere(body: Buffer): Promise<Envelope> {
    // A slice of a larger block (Buffer's pool, a frame of a socket) can't be given away: others stand in it.
    const whole = body.byteLength === body.buffer.byteLength;
    const bytes = whole ? new Uint8Array(body.buffer) : new Uint8Array(body);
    return this.ask({ ask: 'envelope', bytes }, [bytes.buffer as ArrayBuffer]);
  }

  private ask<Q extends Question>(question: Q, give: ArrayBuffer[] = []): Promise<AnswerTo<Q>> {
    const worker = this.worker ?? this.start();
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      worker.postMessage({ ...question, id } satisfies JsonQuestion, give);
    });
  }

  private start(): Worker {
    const worker = new Worker(this.script, { name: 'fns-json' });
    // It must not keep a drained platform alive.
    worker.unref();
    worker.on('message', (reply: JsonReply) => {
      this.waiting.get(reply.id)?.resolve(reply.answer);
      this.waiting.delete(reply.id);
    });
    let why = 'it ended';
    worker.on('error', (error) => {
      why = error.message;
    });
    worker.on('exit', () => this.lost(worker, why));
    this.worker = worker;
    return worker;
  }

  private lost(worker: Worker, why: string): void {
    if (this.worker !== worker) return;
    this.worker = undefined;
    const left = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of left) reject(new PlatformFault(`The thread that reads large JSON was lost: ${why}.`));
  }

  async close(): Promise<void> {
    const { worker } = this;
    if (!worker) return;
    await worker.terminate();
    this.lost(worker, 'the platform is closing');
  }
}
