import type { FunctionId, RequestId, TenantId } from '../ids.js';

/** One line that a function printed. */
export interface LogLine {
  tenantId: TenantId;
  functionId: FunctionId;
  version: string;
  /** Empty for lines printed outside any invocation (start-up). */
  requestId: RequestId | '';
  /** Epoch ms. */
  timeMs: number;
  stream: 'stdout' | 'stderr' | 'platform';
  message: string;
}

/** Where slots put lines. Never blocks the caller and never throws; what it can't keep it counts. */
export interface LogSink {
  append(line: LogLine): void;
}

export interface LogQuery {
  tenantId: TenantId;
  functionId: FunctionId;
  requestId?: string;
  fromMs?: number;
  toMs?: number;
  /** Text that must occur in the message. */
  q?: string;
  limit: number;
  cursor?: string;
}
