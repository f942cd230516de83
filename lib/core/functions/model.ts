import type { FunctionId, TenantId } from '../ids.js';

export const NODE_RUNTIMES = ['nodejs20', 'nodejs22', 'nodejs24'] as const;
export const PYTHON_RUNTIMES = ['python3.9', 'python3.10', 'python3.11', 'python3.12', 'python3.13', 'python3.14'] as const;
export const OTHER_RUNTIMES = ['java17', 'java21', 'provided', 'wasm', 'image'] as const;
export const RUNTIMES = [...NODE_RUNTIMES, ...PYTHON_RUNTIMES, ...OTHER_RUNTIMES] as const;
export type Runtime = (typeof RUNTIMES)[number];

/** AWS spellings are synonyms, stored in one form: `nodejs20.x`, `provided.al2023`, `provided.al2`. */
export function canonicalRuntime(text: string): Runtime | undefined {
  const plain = text.replace(/^(nodejs\d+)\.x$/, '$1').replace(/^provided\.al\d+$/, 'provided');
  return (RUNTIMES as readonly string[]).includes(plain) ? (plain as Runtime) : undefined;
}

export interface RetryPolicy {
  maxRetries: number;
  baseDelayMs: number;
  maxAgeSec: number;
}

export interface Concurrency {
  /** Taken out of the tenant's share and kept for this function. */
  reserved?: number;
  /** Never more than this at once. */
  max?: number;
  /** Invocations that one slot may run at the same time. Default 1. */
  perSlot: number;
}

export interface ScalingSettings {
  /** Slots kept warm, also without calls. Default 0. */
  min: number;
  /** Slots at most. */
  max?: number;
}

export type Priority = 'high' | 'normal' | 'low';
export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type ProcessModel = 'resident' | 'one-shot';

/** What a version freezes and a slot is started from. */
export interface FunctionConfig {
  runtime: Runtime;
  handler: string;
  memoryMb: number;
  timeoutSec: number;
  env: Record<string, string>;
  layers: string[];
  processModel: ProcessModel;
  network: 'internet' | 'none';
  concurrency: Concurrency;
}

export type FunctionStatus = 'PENDING' | 'ACTIVE' | 'FAILED';

/** The function with its draft `$LATEST`. Times are epoch ms here and RFC 3339 at the border. */
export interface FunctionRecord extends FunctionConfig {
  functionId: FunctionId;
  tenantId: TenantId;
  namespace: string;
  name: string;
  description: string;
  tags: Record<string, string>;
  retry: RetryPolicy;
  scaling: ScalingSettings;
  priority: Priority;
  state: 'ENABLED' | 'DISABLED';
  status: FunctionStatus;
  statusReason?: string;
  codeSha256: string | null;
  codeSizeBytes: number;
  /** Rises with every change: the ETag. */
  revision: number;
  /** The revision at which code or configuration last changed: part of a slot's key, so that a new description restarts no slot. */
  slotRevision: number;
  lastVersion: number;
  createdAt: number;
  updatedAt: number;
}

/** An immutable published version. */
export interface VersionRecord extends FunctionConfig {
  functionId: FunctionId;
  version: number;
  description: string;
  codeSha256: string;
  codeSizeBytes: number;
  createdAt: number;
}

export const LATEST = '$LATEST';
