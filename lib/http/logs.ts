import { createRoute, z } from '@hono/zod-openapi';
import { type Clock, rfc3339 } from '../core/clock.js';
import type { LogFollow, LogLine } from '../core/logs/model.js';
import { invalidField } from '../core/refusal.js';
import { type Api, needs } from './api.js';
import { strict, time, timeText } from './schemas/fields.js';
import { pageFields, pageOf } from './schemas/page.js';
import { json, refused } from './schemas/responses.js';
import type { Services } from './services.js';

/** A comment this often keeps proxies from closing a quiet stream. */
const HEARTBEAT_MS = 15_000;

const logLine = z
  .object({
    time: timeText,
    stream: z.enum(['stdout', 'stderr', 'platform']).openapi({ description: '`platform`: a remark of FNS itself.' }),
    requestId: z.string().nullable().openapi({ description: 'null: printed outside any invocation, at start-up for instance.' }),
    version: z.string(),
    message: z.string(),
  })
  .openapi('LogLine');

const logQuery = strict({
  ...pageFields,
  requestId: z.string().max(100).optional(),
  from: time.optional().openapi({ description: 'Included. Lines older than 3 days are found only where this is given.' }),
  to: time.optional().openapi({ description: 'Not included.' }),
  q: z.string().min(1).max(500).optional().openapi({ description: 'Text that must occur in the message; case matters.' }),
  order: z.enum(['asc', 'desc']).default('asc').openapi({ description: 'asc: oldest first.' }),
  follow: z.enum(['true', 'false']).default('false'),
});

const listLogs = createRoute({
  method: 'get',
  path: '/functions/{functionId}/logs',
  tags: ['logs'],
  summary: 'Search or follow what a function printed',
  description:
    'A page may hold fewer lines than `limit` and still have a nextCursor: the end is where there is none. ' +
    'With `follow=true` new lines are streamed as server-sent events, one line as JSON an event; old ones too from `from` on.',
  middleware: [needs('read')] as const,
  request: { params: z.object({ functionId: z.string() }), query: logQuery },
  responses: {
    200: {
      ...json(pageOf(logLine), 'Lines, or a stream of them.'),
      content: { 'application/json': { schema: pageOf(logLine) }, 'text/event-stream': { schema: z.string() } },
    },
    ...refused,
  },
});

export function logsRoutes(app: Api, { functions, logs, clock }: Services): void {
  app.openapi(listLogs, async (c) => {
    const { tenantId } = c.get('principal');
    const { functionId } = await functions.get(tenantId, c.req.valid('param').functionId);
    const { from: fromMs, to: toMs, requestId, q, order, limit, cursor, follow } = c.req.valid('query');
    const asked = { tenantId, functionId, requestId, fromMs, q };
    if (follow === 'true') {
      if (toMs !== undefined || cursor !== undefined) throw invalidField('follow', 'goes with neither to nor cursor');
      const stream = (signal: AbortSignal): AsyncIterable<LogLine> => logs.follow(asked satisfies LogFollow, signal);
      // A stream has no schema of its own in the route's type.
      return eventStream(stream, c.req.raw.signal, clock) as never;
    }
    const page = await logs.search({ ...asked, toMs, order, limit, cursor });
    return c.json({ items: page.items.map(shown), nextCursor: page.nextCursor }, 200);
  });
}

const shown = ({ timeMs, stream, requestId, version, message }: LogLine): z.infer<typeof logLine> => ({
  time: rfc3339(timeMs),
  stream,
  requestId: requestId || null,
  version,
  message,
});

/** Server-sent events (WHATWG HTML, 9.2): read only as fast as the client takes them. */
function eventStream(follow: (signal: AbortSignal) => AsyncIterable<LogLine>, gone: AbortSignal, clock: Clock): Response {
  const ends = new AbortController();
  const end = (): void => ends.abort();
  gone.addEventListener('abort', end, { once: true });
  const lines = follow(ends.signal)[Symbol.asyncIterator]();
  const bytes = new TextEncoder();
  let cancelHeartbeat = (): void => {};
  ends.signal.addEventListener('abort', () => cancelHeartbeat());
  const beat = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (ends.signal.aborted) return;
    if ((controller.desiredSize ?? 0) > 0) controller.enqueue(bytes.encode(': still here\n\n'));
    cancelHeartbeat = clock.after(HEARTBEAT_MS, () => beat(controller));
  };
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      controller.enqueue(bytes.encode(': following\n\n'));
      cancelHeartbeat = clock.after(HEARTBEAT_MS, () => beat(controller));
    },
    pull: async (controller) => {
      const next = await lines.next();
      if (!next.done) {
        controller.enqueue(bytes.encode(`data: ${JSON.stringify(shown(next.value))}\n\n`));
        return;
      }
      end();
      controller.close();
    },
    cancel: end,
  });
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
  });
}
