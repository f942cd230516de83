import type { IncomingMessage } from 'node:http';
import { DEFAULTS } from '../../core/defaults.js';
import { Refusal } from '../../core/refusal.js';
import { type BodyPatience, BodyWatch, tooSlow } from '../body-watch.js';
import { type Hold, isLight } from '../freight.js';

const EMPTY = Buffer.alloc(0);

const tooLarge = () =>
  new Refusal(413, 'FNS_413_PAYLOAD_TOO_LARGE', `The body is larger than ${DEFAULTS.siteBodyBytes} bytes.`, {
    headers: { connection: 'close' },
  });

/** The client went away; nobody is there to be told. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/** The whole body, within its limit and in time, a large one when there is room to hold it. Rejects with a Refusal, or with ClientGone. */
export function readBody(req: IncomingMessage, hold: Hold, patience?: BodyPatience): Buffer | Promise<Buffer> {
  const length = req.headers['content-length'];
  if (length === undefined && req.headers['transfer-encoding'] === undefined) return EMPTY;
  if (length === '0') return EMPTY;
  const declared = Number(length ?? 0);
  if (declared > DEFAULTS.siteBodyBytes) throw tooLarge();
  return isLight(declared) ? collected(req, patience, hold) : hold(declared).then(() => collected(req, patience));
}

/** @param hold asked once where a body turns out to be large that did not say so. */
function collected(req: IncomingMessage, patience: BodyPatience | undefined, hold?: Hold): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let ask = hold;
    const chunks: Buffer[] = [];
    let size = 0;
    const slow = () => end(tooSlow());
    let watch = new BodyWatch(slow, patience);
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > DEFAULTS.siteBodyBytes) return end(tooLarge());
      chunks.push(chunk);
      watch.came();
      if (!ask || isLight(size)) return;
      const room = ask(DEFAULTS.siteBodyBytes);
      ask = undefined;
      watch.end();
      req.pause();
      room.then(() => {
        watch = new BodyWatch(slow, patience);
        req.resume();
      }, end);
    };
    const onEnd = () => end();
    const onClose = () => end(new ClientGone());
    const end = (error?: Error) => {
      watch.end();
      req.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      if (!error) return resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size));
      req.on('error', () => {});
      reject(error);
    };
    req.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/** So much of an unwanted body is still read, for so long: a client that writes must get to read our answer before the end. */
const DISCARD_MS = 2_000;

/** After an answer that did not wait for the body. */
export function discardBody(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return;
  const timer = setTimeout(() => req.destroy(), DISCARD_MS);
  timer.unref();
  req.on('error', () => {}).on('close', () => clearTimeout(timer));
  req.resume();
}
