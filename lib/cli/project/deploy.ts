import { createHash } from 'node:crypto';
import { ApiError, type Client } from '../client.js';
import { CliError } from '../failure.js';
import { bytesText, type Output } from '../output.js';
import { collect, type Files, inlined, zipped } from './files.js';
import type { Project } from './read.js';
import type { FunctionSpec } from './schema.js';
import { reconcile, type TriggerChange } from './triggers.js';

export interface FunctionView {
  functionId: string;
  name: string;
  namespace: string;
  runtime: string;
  handler: string;
  memoryMb: number;
  timeoutSec: number;
  state?: string;
  status: string;
  statusReason?: string;
  codeSha256: string | null;
  updatedAt: string;
  warnings?: string[];
  [field: string]: unknown;
}

export interface Deployed {
  name: string;
  functionId: string;
  action: 'created' | 'updated';
  codeSha256: string | null;
  /** Absent for a draft. */
  version?: number;
  triggers: TriggerChange[];
  warnings: string[];
}

/** Settings, code, triggers, then a version: the new version is published only when all of it stands. */
export async function deployFunction(api: Client, out: Output, project: Project, name: string, draft: boolean): Promise<Deployed> {
  const spec = project.functions[name] as FunctionSpec;
  out.progress(`${name}: reading files …`);
  const files = await collect(name, spec, project.folder);
  const { view, created } = await upload(api, out, project.namespace, name, spec, files);
  if (view.status === 'FAILED') throw new CliError(`${name}: the platform could not prepare it: ${view.statusReason ?? 'no reason given'}`);
  out.progress(`${name}: triggers …`);
  // A function that says nothing of triggers keeps those that were made by hand.
  const triggers = spec.triggers === undefined ? [] : await reconcile(api, view.functionId, spec.triggers);
  const published = draft ? undefined : await api.call<{ version: number }>('POST', `/functions/${view.functionId}/versions`, { body: {} });
  out.progress('');
  const { functionId, codeSha256, warnings = [] } = view;
  return { name, functionId, action: created ? 'created' : 'updated', codeSha256, version: published?.version, triggers, warnings };
}

async function upload(
  api: Client,
  out: Output,
  namespace: string,
  name: string,
  spec: FunctionSpec,
  files: Files,
): Promise<{ view: FunctionView; created: boolean }> {
  const { code: _, bundle: __, triggers: ___, ...settings } = spec;
  const path = `/namespaces/${encodeURIComponent(namespace)}/functions/${encodeURIComponent(name)}`;
  const text = inlined(files);
  out.progress(`${name}: uploading ${Object.keys(files).length} files …`);
  try {
    if (text) return await put(api, path, { ...settings, code: { files: text } });
    const archive = zipped(files);
    const { view, created } = await put(api, path, settings);
    out.progress(`${name}: uploading ${bytesText(archive.length)} …`);
    const uploaded = await api.call<Partial<FunctionView>>('PUT', `/functions/${view.functionId}/code`, {
      body: archive,
      type: 'application/zip',
    });
    return { view: { ...view, ...uploaded }, created };
  } catch (error) {
    if (error instanceof ApiError && error.api.status === 404 && error.api.code === 'FNS_404_NAMESPACE')
      throw new CliError(error.message, error.exitCode, `Make it first: fns namespace add ${namespace}`, error.api);
    if (error instanceof ApiError) throw new CliError(`${name}: ${error.message}`, error.exitCode, error.hint, error.api);
    throw error;
  }
}

async function put(api: Client, path: string, body: unknown): Promise<{ view: FunctionView; created: boolean }> {
  const answer = await api.send('PUT', path, { body });
  return { view: (await answer.json()) as FunctionView, created: answer.status === 201 };
}

/** Changes when anything that a deploy would send changes: `fns dev` leaves the rest alone. */
export async function fingerprint(project: Project, name: string): Promise<string> {
  const spec = project.functions[name] as FunctionSpec;
  const hash = createHash('sha256').update(JSON.stringify([project.namespace, spec]));
  for (const [path, content] of Object.entries(await collect(name, spec, project.folder)))
    hash.update(path).update('\0').update(content).update('\0');
  return hash.digest('hex');
}
