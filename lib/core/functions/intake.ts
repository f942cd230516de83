import { invalid, invalidField } from '../refusal.js';
import { inlineFiles } from './files.js';
import type { Runtime } from './model.js';
import type { Archives, CodePreparer, CodeStore } from './port.js';
import { runtimeNotHere } from './runtimes.js';
import type { CodeUpload } from './service.js';

export interface IntakeParts {
  code: CodeStore;
  archives: Archives;
  preparer: CodePreparer;
  runtimesHere(): ReadonlySet<Runtime>;
}

export interface TakenCode {
  codeSha256: string;
  codeSizeBytes: number;
}

/**
 * Code on its way in: refused by name where it cannot run here, leads out of its folder or does not parse; else kept
 * under the digest of its content. Nothing points to it yet, so a refusal leaves the function as it was.
 */
export async function takeIn(parts: IntakeParts, target: { runtime: Runtime; handler: string }, upload: CodeUpload): Promise<TakenCode> {
  if (upload.kind === 'image' && target.runtime !== 'image') {
    throw invalidField('imageUri', `runtime '${target.runtime}' takes files, not an image`, 'a zip, multipart, or {"files":{path:text}}');
  }
  if (!parts.runtimesHere().has(target.runtime)) throw runtimeNotHere(target.runtime);
  if (upload.kind === 'image') throw invalidField('imageUri', 'images cannot be pulled here');
  const files = upload.kind === 'zip' ? await parts.archives.unpack(upload.bytes) : inlineFiles(upload.files);
  const { codeSha256, sizeBytes } = await parts.code.put(files);
  await assertParses(parts, target, codeSha256);
  return { codeSha256, codeSizeBytes: sizeBytes };
}

/** @throws Refusal 422 with file and line of what does not parse, or of a handler that is not there */
export async function assertParses(parts: IntakeParts, target: { runtime: Runtime; handler: string }, codeSha256: string): Promise<void> {
  const faults = await parts.preparer.check(target.runtime, target.handler, await parts.code.folder(codeSha256));
  if (faults.length === 0) return;
  throw invalid(
    faults.slice(0, 20).map(({ file, line, message }) => ({
      field: 'code',
      message: `${file}${line === undefined ? '' : `:${line}`}: ${message}`.slice(0, 1000),
    })),
  );
}
