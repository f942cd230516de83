import { ApiError, type Client } from './client.js';
import { CliError } from './failure.js';
import { closest } from './project/closest.js';
import type { FunctionView } from './project/deploy.js';

/** A function by its id, its name (in namespace default) or namespace/name. */
export async function findFunction(api: Client, text: string): Promise<FunctionView> {
  if (/^fn_[0-9a-z]{20}$/.test(text)) return api.get(`/functions/${text}`);
  const [namespace, name] = text.includes('/') ? (text.split('/', 2) as [string, string]) : ['default', text];
  try {
    return await api.get(`/namespaces/${encodeURIComponent(namespace)}/functions/${encodeURIComponent(name)}`);
  } catch (error) {
    if (!(error instanceof ApiError) || ![404, 422].includes(error.api.status)) throw error;
    throw new CliError(
      `There is no function '${name}' in namespace '${namespace}'.`,
      error.exitCode,
      await suggestion(api, namespace, name),
      error.api,
    );
  }
}

async function suggestion(api: Client, namespace: string, name: string): Promise<string> {
  const there = await api.all<FunctionView>('/functions', { namespace }, 1000).catch(() => []);
  const near = closest(
    name,
    there.map((each) => each.name),
  );
  return near ? `Did you mean '${near}'?` : '`fns ls` shows those that are there; `fns deploy` makes them from fns.yaml.';
}
