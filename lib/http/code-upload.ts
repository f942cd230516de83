import type { Context } from 'hono';
import type { CodeUpload } from '../core/functions/service.js';
import { invalidField } from '../core/refusal.js';
import type { ApiEnv } from './api.js';

const HOW = 'a zip (Content-Type: application/zip), multipart with one file, or JSON {"files":{path:text}}';

/** The code in a request's body, whichever of its forms it came in. */
export async function codeOf(c: Context<ApiEnv>, fromJson: () => CodeUpload | undefined): Promise<CodeUpload> {
  const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (/^application\/([\w.-]+\+)?json$/.test(type)) return fromJson() ?? missing();
  if (type === 'multipart/form-data') return fromMultipart(c);
  const bytes = new Uint8Array(await c.req.arrayBuffer());
  return bytes.byteLength === 0 ? missing() : { kind: 'zip', bytes };
}

async function fromMultipart(c: Context<ApiEnv>): Promise<CodeUpload> {
  const parts = [...(await formOf(c)).values()] as (string | Blob)[];
  const files = parts.filter((part) => typeof part !== 'string');
  const [file, ...more] = files;
  if (!file) return missing();
  if (more.length > 0) throw invalidField('code', `came as ${files.length} files`, 'one file: a zip');
  return { kind: 'zip', bytes: new Uint8Array(await file.arrayBuffer()) };
}

async function formOf(c: Context<ApiEnv>): Promise<FormData> {
  try {
    return await c.req.formData();
  } catch {
    throw invalidField('code', 'is no multipart body that can be read', HOW);
  }
}

const missing = (): never => {
  throw invalidField('code', 'is missing', HOW);
};
