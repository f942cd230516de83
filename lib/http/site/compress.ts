import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { DEFAULTS } from '../../core/defaults.js';
import type { SiteAnswer } from './answer.js';

const gzipped = promisify(gzip);
const WORTH_IT = /^(text\/|application\/(json|javascript|xml|wasm|x-ndjson|manifest\+json)|image\/svg\+xml|[\w.+-]+\/[\w.-]+\+(json|xml))/i;

/** Compresses in place where the client takes it and it is worth it. Off the main thread (zlib's pool). */
export async function compressed(answer: SiteAnswer, acceptEncoding: string | undefined): Promise<void> {
  const { headers, body, status } = answer;
  if (body.length < DEFAULTS.siteGzipBytes || status === 206 || headers['content-encoding'] !== undefined) return;
  if (!WORTH_IT.test(String(headers['content-type'] ?? '')) || /no-transform/i.test(String(headers['cache-control'] ?? ''))) return;
  headers.vary = withVary(headers.vary, 'Accept-Encoding');
  if (!takesGzip(acceptEncoding)) return;
  answer.body = await gzipped(body, { level: 5 });
  headers['content-encoding'] = 'gzip';
  // Other bytes than the strong validator stands for (RFC 9110, 8.8.1).
  const etag = headers.etag;
  if (typeof etag === 'string' && etag.startsWith('"')) headers.etag = `W/${etag}`;
}

/** RFC 9110, 12.5.3: `gzip;q=0` is a no. */
function takesGzip(accept: string | undefined): boolean {
  const entry = accept?.split(',').find((each) => /^\s*(gzip|x-gzip|\*)\s*(;|$)/i.test(each));
  return entry !== undefined && !/;\s*q\s*=\s*0(\.0*)?\s*$/i.test(entry);
}

export function withVary(held: string | string[] | undefined, field: string): string {
  const fields = [held ?? []].flat().join(', ');
  if (fields === '') return field;
  return fields
    .toLowerCase()
    .split(/\s*,\s*/)
    .includes(field.toLowerCase()) || fields === '*'
    ? fields
    : `${fields}, ${field}`;
}
