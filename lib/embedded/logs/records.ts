import type { LogLine, LogQuery } from '../../core/logs/model.js';

/** A line as it is kept: `seq` rises with every line of the platform, in the order of arrival, over restarts too. */
export interface KeptLine extends LogLine {
  seq: number;
}

const STREAMS = ['stdout', 'stderr', 'platform'] as const;

/** One line of JSON a record, so that a block's text can be searched before it is parsed. */
type Row = [
  seq: number,
  tenantId: string,
  functionId: string,
  timeMs: number,
  stream: number,
  requestId: string,
  version: string,
  message: string,
];

export const encodeRecord = (line: KeptLine): string =>
  `${JSON.stringify([
    line.seq,
    line.tenantId,
    line.functionId,
    line.timeMs,
    STREAMS.indexOf(line.stream),
    line.requestId,
    line.version,
    line.message,
  ] satisfies Row)}\n`;

function decodeRecord(text: string): KeptLine {
  const [seq, tenantId, functionId, timeMs, stream, requestId, version, message] = JSON.parse(text) as Row;
  return { seq, tenantId, functionId, timeMs, stream: STREAMS[stream] ?? 'platform', requestId, version, message } as KeptLine;
}

export const decodeRecords = (text: string): KeptLine[] =>
  text
    .split('\n')
    .filter((row) => row !== '')
    .map(decodeRecord);

/** Blocks and tails are kept by tenant and function together: no query crosses either. */
export const ownerOf = (line: Pick<LogLine, 'tenantId' | 'functionId'>): string => `${line.tenantId} ${line.functionId}`;

/** What a query asks of a line; the owner is matched before. */
export type LineFilter = Pick<LogQuery, 'requestId' | 'fromMs' | 'toMs' | 'q'>;

export function matches(line: LogLine, { requestId, fromMs, toMs, q }: LineFilter): boolean {
  if (requestId !== undefined && line.requestId !== requestId) return false;
  if (fromMs !== undefined && line.timeMs < fromMs) return false;
  if (toMs !== undefined && line.timeMs >= toMs) return false;
  return q === undefined || line.message.includes(q);
}

/** False where the text of a block surely holds no match: spares parsing it. */
export function mayMatch(text: string, { requestId, q }: LineFilter): boolean {
  if (requestId !== undefined && !text.includes(requestId)) return false;
  return q === undefined || text.includes(JSON.stringify(q).slice(1, -1));
}
