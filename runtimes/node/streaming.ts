import { Writable } from 'node:stream';
import { FRAME_LIMITS, Frame } from '../../lib/slots/frames.js';
import type { Channel } from './channel.js';
import type { Handler } from './load.js';

const STREAMED = Symbol.for('fns.streamed');
const HELD_BYTES = 256 * 1024;

interface Head {
  statusCode?: number;
  headers?: Record<string, string>;
  cookies?: string[];
}

/** Lambda's `awslambda` global: handlers that write their answer piece by piece. */
export function installAwslambda(): void {
  const awslambda = {
    streamifyResponse: (handler: Handler) => Object.assign(handler, { [STREAMED]: true }),
    HttpResponseStream: {
      from: (stream: ResponseStream, head: Head) => {
        stream.head(head);
        return stream;
      },
    },
  };
  Object.defineProperty(globalThis, 'awslambda', { value: awslambda, configurable: true, writable: true });
}

export const isStreamed = (handler: Handler): boolean => (handler as { [STREAMED]?: boolean })[STREAMED] === true;

/** The answer of a streaming handler: sent on as it comes, or gathered where the caller wants one value. */
export class ResponseStream extends Writable {
  private sentHead: Head | undefined;
  private contentType: string | undefined;
  private began = false;
  private readonly gathered: Buffer[] = [];
  private gatheredBytes = 0;

  constructor(
    private readonly channel: Channel,
    private readonly id: number,
    private readonly streamed: boolean,
    private readonly resultBytes: number,
  ) {
    super();
  }

  setContentType(type: string): void {
    this.contentType = String(type);
  }

  head(head: Head): void {
    this.sentHead = head;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (!this.streamed) {
      done(this.gather(chunk));
      return;
    }
    this.begin();
    for (let from = 0; from < chunk.length; from += FRAME_LIMITS.data / 2) {
      this.channel.putBytes(Frame.DATA, this.id, chunk.subarray(from, from + FRAME_LIMITS.data / 2));
    }
    this.channel.flushSoon();
    // The handler is held back while the invoker reads slowly.
    if (this.channel.heldBytes > HELD_BYTES) this.channel.whenDrained(done);
    else done();
  }

  override _final(done: () => void): void {
    if (this.streamed) this.begin();
    done();
  }

  /** The whole answer as one value, where it was not streamed. */
  value(): unknown {
    if (this.streamed) return null;
    const bytes = Buffer.concat(this.gathered);
    const text = bytes.toString('utf8');
    const isText = Buffer.from(text, 'utf8').equals(bytes);
    const head = this.describe();
    if (head) return { statusCode: 200, ...head, body: isText ? text : bytes.toString('base64'), isBase64Encoded: !isText };
    if (!isText) return bytes.toString('base64');
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  private describe(): Head | undefined {
    if (!this.contentType) return this.sentHead;
    return { ...this.sentHead, headers: { 'content-type': this.contentType, ...this.sentHead?.headers } };
  }

  private begin(): void {
    if (this.began) return;
    this.began = true;
    const head = this.describe();
    if (head) this.channel.put(Frame.HEAD, this.id, JSON.stringify(head));
  }

  private gather(chunk: Buffer): Error | null {
    this.gatheredBytes += chunk.length;
    if (this.gatheredBytes > this.resultBytes) {
      const message = `The streamed answer is larger than ${this.resultBytes} bytes.`;
      return Object.assign(new Error(message), { name: 'Function.ResponseTooLarge' });
    }
    // Copied: the chunk belongs to the function.
    this.gathered.push(Buffer.from(chunk));
    return null;
  }
}
