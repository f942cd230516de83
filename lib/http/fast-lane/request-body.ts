import type { IncomingMessage } from 'node:http';
import type { Refusal } from '../../core/refusal.js';
import { BodyWatch, tooSlow } from '../body-watch.js';
import { tooLarge } from '../problem.js';

/**
 * The whole body, or a 413 Refusal as soon as it is known to be larger than `limitBytes`, or 408 where it does not come.
 * Rejects with an Error where the client went away.
 */
export function requestBody(req: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const declared = Number(req.headers['content-length'] ?? 0);
    if (declared > limitBytes) return reject(tooLarge(limitBytes));
    const chunks: Buffer[] = [];
    let size = 0;
    const refuse = (refusal: Refusal): void => {
      watch?.end();
      req.pause();
      reject(refusal);
    };
    // Most bodies are here already, read with the head: nothing to watch.
    const watch = req.complete ? undefined : new BodyWatch(() => refuse(tooSlow()));
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) return refuse(tooLarge(limitBytes));
      chunks.push(chunk);
      watch?.came();
    });
    req.on('end', () => {
      watch?.end();
      // Most bodies are one chunk: no copy.
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size));
    });
    req.on('error', reject);
    req.on('close', () => {
      watch?.end();
      // 'close' follows every request; an Error made for nothing would cost more than the request.
      if (!req.complete) reject(new Error('The client closed the connection before its body was complete.'));
    });
  });
}
