import type { IncomingMessage } from 'node:http';
import { tooLarge } from '../problem.js';

/**
 * The whole body, or a 413 Refusal as soon as it is known to be larger than `limitBytes`. Rejects with an Error where
 * the client went away. How long a body may take is the server's requestTimeout.
 */
export function requestBody(req: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const declared = Number(req.headers['content-length'] ?? 0);
    if (declared > limitBytes) return reject(tooLarge(limitBytes));
    const chunks: Buffer[] = [];
    let size = 0;
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) {
        req.pause();
        return reject(tooLarge(limitBytes));
      }
      chunks.push(chunk);
    });
    // Most bodies are one chunk: no copy.
    req.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)));
    req.on('error', reject);
    req.on('close', () => {
      // 'close' follows every request; an Error made for nothing would cost more than the request.
      if (!req.complete) reject(new Error('The client closed the connection before its body was complete.'));
    });
  });
}
