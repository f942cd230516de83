import type { z } from '@hono/zod-openapi';
import { rfc3339 } from '../../core/clock.js';
import { type FunctionConfig, type FunctionRecord, LATEST, type VersionRecord } from '../../core/functions/model.js';
import type { functionSchema, versionSchema } from '../schemas/function.js';

type FunctionJson = z.infer<typeof functionSchema>;
type VersionJson = z.infer<typeof versionSchema>;

const frozen = ({ runtime, handler, memoryMb, timeoutSec, env, layers, processModel, network, concurrency }: FunctionConfig) => ({
  ...{ runtime, handler, memoryMb, timeoutSec, env, layers, processModel, network, concurrency },
});

/** The function as the API tells it (SPEC 2, "Function"). */
export function presentFunction(fn: FunctionRecord, warnings: readonly string[] = []): FunctionJson {
  const { functionId, name, namespace, description, tags, retry, scaling, priority, state, status, statusReason } = fn;
  return {
    ...{ functionId, name, namespace, description, tags },
    ...frozen(fn),
    ...{ retry: { ...retry }, scaling, priority, state, status, statusReason },
    version: LATEST,
    lastVersion: fn.lastVersion,
    codeSha256: fn.codeSha256,
    codeSizeBytes: fn.codeSizeBytes,
    createdAt: rfc3339(fn.createdAt),
    updatedAt: rfc3339(fn.updatedAt),
    ...(warnings.length > 0 ? { warnings: [...warnings] } : {}),
  };
}

export function presentVersion(version: VersionRecord): VersionJson {
  const { functionId, description, codeSha256, codeSizeBytes } = version;
  return {
    functionId,
    version: version.version,
    description,
    ...frozen(version),
    codeSha256,
    codeSizeBytes,
    createdAt: rfc3339(version.createdAt),
  };
}
