import type { IncomingMessage } from 'node:http';
import { BodyWatch, tooSlow } from '../body-watch.js';
import { type Hold, isLight } from '../freight.js';
import { tooLarge } from '../problem.js';

/**
 * The whole body, or a 413 Refusal as soon as it is known to be larger than `limitBytes`, or 408 where it does not come.
 * Rejects with an Error where the client went away. A large one is read when there is room to hold it.
 */
export function requestBody(req: IncomingMessage, limitBytes: number, hold: Hold): Promise<Buffer> {
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > limitBytes) return Promise.reject(tooLarge(limitBytes));
  if (isLight(declared)) return collected(req, limitBytes, hold);
  return hold(declared).then(() => collected(req, limitBytes));
}

/** @param hold asked once where a body turns out to be large that did not say so. */
function collected(req: IncomingMessage, limitBytes: number, hold?: Hold): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let ask = hold;
    const chunks: Buffer[] = [];
    let size = 0;
    const refuse = (refusal: Error): void => {
      watch?.end();
      req.pause();
      reject(refusal);
    };
    // Most bodies are here already, read with the head: nothing to watch.
    const slow = () => refuse(tooSlow());
    let watch = req.complete ? undefined : new BodyWatch(slow);
    req.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) return refuse(tooLarge(limitBytes));
      chunks.push(chunk);
      watch?.came();
      if (!ask || isLight(size)) return;
      const room = ask(limitBytes);
      ask = undefined;
      watch?.end();
      req.pause();
      room.then(() => {
        watch = new BodyWatch(slow);
        req.resume();
      }, refuse);
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
