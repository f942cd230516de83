import type { FunctionId, RequestId, TenantId } from '../ids.js';
import type { Page } from '../page.js';

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
  /** Text that must occur in the message, upper and lower case told apart. */
  q?: string;
  /** `asc` (default): oldest first. `desc`: newest first, for "the last lines". */
  order?: 'asc' | 'desc';
  limit: number;
  cursor?: string;
}

/** What a follower asks for: new lines, and the old ones too where `fromMs` is given. */
export type LogFollow = Pick<LogQuery, 'tenantId' | 'functionId' | 'requestId' | 'fromMs' | 'q'>;

/** Where lines are found again. Whatever was appended before a call of these is seen by it. */
export interface LogReader {
  /**
   * Lines in the order in which they were kept. A page may hold fewer than `limit` and still have a nextCursor
   * (the search took long): the end is where there is none. A cursor of other making is a Refusal (422).
   */
  search(query: LogQuery): Promise<Page<LogLine>>;
  /** Ends when `signal` is aborted. A reader that is too slow misses lines and is told how many by a `platform` line. */
  follow(query: LogFollow, signal: AbortSignal): AsyncIterable<LogLine>;
}
