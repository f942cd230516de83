import type { FunctionId, RequestId, TenantId } from '../ids.js';
import type { MeterEntry } from './model.js';

/**
 * One attempt in an invoker's meter: fields joined by tabs, a line feed at the end.
 *
 *   requestId · attempt · tenantId · functionId · version · memoryMb · billedMs · endedAt (epoch ms)
 *
 * No field can hold a tab or a line feed: ids and versions are of a closed alphabet.
 */
export const meterLine = (entry: MeterEntry): string =>
  `${entry.requestId}\t${entry.attempt}\t${entry.tenantId}\t${entry.functionId}\t${entry.version}\t${entry.memoryMb}\t${entry.billedMs}\t${entry.endedAt}\n`;

const FIELDS = 8;

/** The entries of a meter file. A line cut off by a crash in the middle of its write is left out. */
export function parseMeterLines(text: string): MeterEntry[] {
  const entries: MeterEntry[] = [];
  // What follows the last line feed is empty, or a line that was never finished.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  for (const line of whole.split('\n')) {
    const entry = parseMeterLine(line);
    if (entry) entries.push(entry);
  }
  return entries;
}

function parseMeterLine(line: string): MeterEntry | undefined {
  const fields = line.split('\t');
  if (fields.length !== FIELDS) return undefined;
  const [requestId, attempt, tenantId, functionId, version, memoryMb, billedMs, endedAt] = fields;
  const entry: MeterEntry = {
    requestId: requestId as RequestId,
    attempt: Number(attempt),
    tenantId: tenantId as TenantId,
    functionId: functionId as FunctionId,
    version: version!,
    memoryMb: Number(memoryMb),
    billedMs: Number(billedMs),
    endedAt: Number(endedAt),
  };
  const numbers = [entry.attempt, entry.memoryMb, entry.billedMs, entry.endedAt];
  return numbers.every(Number.isSafeInteger) ? entry : undefined;
}
