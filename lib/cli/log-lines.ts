import pc from 'picocolors';
import type { Client } from './client.js';
import { printable } from './output.js';

export interface LogLineView {
  time: string;
  stream: 'stdout' | 'stderr' | 'platform';
  requestId: string | null;
  version: string;
  message: string;
}

/** A line for people: time of day, the end of the request id, the message. */
export function logText({ time, stream, requestId, message }: LogLineView, name?: string): string {
  const head = [
    new Date(time).toLocaleTimeString('en-GB', { hour12: false }),
    ...(name ? [pc.cyan(name)] : []),
    (requestId ?? '').slice(-6).padEnd(6),
  ];
  const text = printable(message.replace(/\n$/, ''));
  const coloured = stream === 'stderr' ? pc.yellow(text) : stream === 'platform' ? pc.magenta(text) : text;
  return `${pc.dim(head.join(' '))} ${coloured}`;
}

/** New lines as they come, until `stop`; a broken stream is opened again where it ended. */
export async function followLogs(
  api: Client,
  functionId: string,
  query: { requestId?: string; q?: string; from?: string },
  stop: AbortSignal,
  onLine: (line: LogLineView) => void,
): Promise<void> {
  const path = `/functions/${functionId}/logs`;
  const headers = { accept: 'text/event-stream' };
  let { from } = query;
  let failures = 0;
  while (!stop.aborted) {
    try {
      const answer = await api.send('GET', path, { query: { ...query, from, follow: 'true' }, headers, signal: stop });
      failures = 0;
      for await (const line of eventsOf(answer)) {
        onLine(line);
        // After a break the lines of the last millisecond come again: better once more than not at all.
        from = line.time;
      }
    } catch (error) {
      if (stop.aborted) return;
      failures += 1;
      if (failures > 5 || (error as { api?: unknown }).api) throw error;
    }
    await pause(500 * failures, stop);
  }
}

const pause = (ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });

/** Server-sent events whose data is a line as JSON. */
export async function* eventsOf(answer: Response): AsyncGenerator<LogLineView> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    const events = text.split(/\r?\n\r?\n/);
    text = events.pop() as string;
    for (const event of events) {
      const data = event
        .split(/\r?\n/)
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(5).trimStart());
      if (data.length > 0) yield JSON.parse(data.join('\n')) as LogLineView;
    }
  }
}
