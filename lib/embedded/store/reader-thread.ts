import { parentPort, workerData } from 'node:worker_threads';
import { DatabaseSync, type DatabaseSyncInstance } from '@photostructure/sqlite';
import type { Step } from './concern.js';
import { CONCERNS } from './concerns.js';
import { type ErrorRecord, errorRecord, type FromReader, type ReaderData, type ToReader } from './protocol.js';
import { cacheStatements } from './statements.js';

const port = parentPort!;
const say = (message: FromReader): void => port.postMessage(message);

const queries = new Map<string, Step>();
for (const concern of CONCERNS as readonly { queries: Record<string, Step> }[]) {
  for (const [name, run] of Object.entries(concern.queries)) queries.set(name, run);
}

function answer(message: Extract<ToReader, { kind: 'queries' }>): void {
  const results: unknown[] = [];
  const errors: [number, ErrorRecord][] = [];
  message.names.forEach((name, i) => {
    try {
      const query = queries.get(name);
      if (!query) throw new Error(`The store has no query ${name}.`);
      results[i] = query(open(), message.inputs[i]);
    } catch (error) {
      results[i] = undefined;
      errors.push([i, errorRecord(error)]);
    }
  });
  say({ kind: 'answers', ids: message.ids, results, errors: errors.length > 0 ? errors : undefined });
}

let opened: DatabaseSyncInstance | undefined;
/** At the first query: the thread itself starts while the writer still opens or makes the file. */
function open(): DatabaseSyncInstance {
  opened ??= cacheStatements(new DatabaseSync((workerData as ReaderData).path, { readOnly: true, timeout: 5000 }));
  return opened;
}

say({ kind: 'ready' });
port.on('message', (message: ToReader) => {
  if (message.kind === 'queries') {
    answer(message);
  } else {
    opened?.close();
    port.close();
  }
});
