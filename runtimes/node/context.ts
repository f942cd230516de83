import type { Assignment, CallFields } from '../../lib/slots/frames.js';

const now = performance.now.bind(performance);
const startedText = new Date().toISOString().slice(0, 10).replaceAll('-', '/');

/** Lambda's context object, and what FNS knows beyond it: attempt (from 1), tenant, namespace, triggerId. */
export class Context {
  callbackWaitsForEmptyEventLoop = true;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  readonly attempt: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly triggerId: string | undefined;
  readonly getRemainingTimeInMillis: () => number;

  constructor(
    shared: SharedContext,
    call: CallFields,
    readonly done: (error: unknown, result?: unknown) => void,
  ) {
    this.functionName = shared.functionName;
    this.functionVersion = shared.version;
    this.invokedFunctionArn = shared.arn;
    this.memoryLimitInMB = shared.memoryText;
    this.awsRequestId = call.requestId;
    this.logGroupName = shared.logGroup;
    this.logStreamName = shared.logStream;
    this.attempt = call.attempt;
    this.tenant = shared.tenant;
    this.namespace = shared.namespace;
    this.triggerId = call.triggerId === '' ? undefined : call.triggerId;
    const deadline = now() + shared.timeoutMs;
    this.getRemainingTimeInMillis = () => Math.max(0, Math.floor(deadline - now()));
  }

  succeed(result?: unknown): void {
    this.done(null, result);
  }

  fail(error: unknown): void {
    this.done(error ?? 'handled');
  }
}

/** What is the same for every call of the slot, made once. */
export interface SharedContext {
  functionName: string;
  version: string;
  arn: string;
  memoryText: string;
  logGroup: string;
  logStream: string;
  tenant: string;
  namespace: string;
  timeoutMs: number;
}

export function sharedContext(assignment: Assignment): SharedContext {
  const { functionName, version, memoryMb, tenant, namespace, timeoutSec } = assignment;
  const qualifier = version === '$LATEST' ? '' : `:${version}`;
  return {
    functionName,
    version,
    tenant,
    namespace,
    arn: `arn:aws:lambda:local:000000000000:function:${functionName}${qualifier}`,
    memoryText: String(memoryMb),
    logGroup: `/aws/lambda/${functionName}`,
    logStream: `${startedText}/[${version}]${process.pid}`,
    timeoutMs: timeoutSec * 1000,
  };
}

/** Sets the process's variables: Lambda's reserved ones win over the tenant's. */
export function installEnvironment(assignment: Assignment, shared: SharedContext): void {
  const { env, handler, code, version, functionName, memoryMb, layers, tmp } = assignment;
  const [major] = process.versions.node.split('.');
  const layerModules = layers.flatMap((layer) => [`${layer}/nodejs/node_modules`, `${layer}/nodejs/node${major}/node_modules`]);
  Object.assign(process.env, tmp ? { TMPDIR: tmp } : {}, env, {
    _HANDLER: handler,
    LAMBDA_TASK_ROOT: code,
    AWS_EXECUTION_ENV: `AWS_Lambda_nodejs${major}.x`,
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_FUNCTION_VERSION: version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMb),
    AWS_LAMBDA_LOG_GROUP_NAME: shared.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: shared.logStream,
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
  });
  // A later layer overrides an earlier one.
  if (layerModules.length > 0) process.env.NODE_PATH = [...layerModules.reverse(), process.env.NODE_PATH ?? ''].filter(Boolean).join(':');
}
