import type { ServerResponse } from 'node:http';
import { DEFAULTS } from '../../core/defaults.js';
import type { StreamChunk } from '../../core/scheduling/port.js';
import { type SiteAnswer, type SiteHead, streamHead } from './answer.js';
import { withVary } from './compress.js';
import { confined } from './cookies.js';

/** What the platform adds to whatever the handler answers. */
export interface Additions {
  /** CORS. */
  headers: Record<string, string>;
  /** `/http/{tenant}` on the path form, else empty. */
  root: string;
  requestId: string;
}

/** Writes one answer of a site: in one piece, or as the handler streams it. */
export class Outgoing {
  private streaming = false;
  private broken = false;

  constructor(
    readonly res: ServerResponse,
    private readonly add: Additions,
  ) {
    res.on('error', () => {
      this.broken = true;
    });
  }

  /** The handler's head, or a part of its body, went out already: nothing else can be said. */
  get isStreaming(): boolean {
    return this.streaming;
  }

  whole(answer: SiteAnswer): void {
    const { res } = this;
    if (res.destroyed) return;
    this.head(answer);
    const { status, body } = answer;
    // RFC 9110, 8.6: none where there is no content.
    if (status !== 204 && status !== 304) res.setHeader('content-length', body.length);
    if (res.req.complete || status === SLOW) {
      res.end(body);
      return;
    }
    // A refusal whose sender still writes: ended now, the connection would break before they read it. See `discardBody`.
    res.write(body);
    res.req.once('end', () => res.end());
  }

  private head({ status, headers, cookies }: SiteHead): void {
    const { res, add } = this;
    res.statusCode = status;
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    for (const [name, value] of Object.entries(add.headers)) {
      res.setHeader(name, name === 'vary' ? withVary(headers.vary, value) : value);
    }
    if (cookies.length > 0) {
      res.setHeader(
        'set-cookie',
        cookies.map((cookie) => confined(cookie, add.root)),
      );
    }
    // On the path form all tenants share one origin with the API: what they send runs without that origin's rights.
    if (add.root !== '') res.setHeader('content-security-policy', sandboxed(headers['content-security-policy']));
    if (headers['x-request-id'] === undefined) res.setHeader('x-request-id', add.requestId);
  }

  /** A promise where the client reads more slowly than the handler writes: the next chunk should wait for it. */
  chunk(chunk: StreamChunk): void | Promise<void> {
    const { res } = this;
    if (this.broken || res.destroyed) return undefined;
    if (chunk.kind === 'head') return this.begin(chunk.json);
    this.begin('');
    if (res.write(chunk.bytes)) return undefined;
    if (res.writableLength > DEFAULTS.siteUnreadBytes) {
      res.destroy();
      return undefined;
    }
    return new Promise((resolve) => {
      const go = () => {
        res.off('drain', go).off('close', go);
        resolve();
      };
      res.on('drain', go).on('close', go);
    });
  }

  private begin(json: string): void {
    if (this.streaming) return;
    this.streaming = true;
    const head = streamHead(json);
    this.head('fault' in head ? { status: 502, headers: { 'content-type': 'text/plain' }, cookies: [] } : head);
    this.res.flushHeaders();
  }

  /** @param complete false: what was streamed is cut short, which the client must be able to tell. */
  endStream(complete: boolean): void {
    if (complete) this.res.end();
    else this.res.destroy();
  }
}

/** Whoever was too slow is not waited for again. */
const SLOW = 408;
const SANDBOX = 'sandbox';
const sandboxed = (own: string | string[] | undefined): string | string[] => (own === undefined ? SANDBOX : [...[own].flat(), SANDBOX]);
