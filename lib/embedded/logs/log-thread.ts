import { parentPort, workerData } from 'node:worker_threads';
import { LogStore } from './log-store.js';
import { type FromLogThread, type LogThreadData, type ToLogThread, unpackLines } from './protocol.js';
import { type KeptLine, ownerOf } from './records.js';

const MAINTAIN_EVERY_MS = 60_000;

/** The worker thread that owns the log files. */
function run(port: NonNullable<typeof parentPort>, { folder, options }: LogThreadData): void {
  const store = new LogStore(folder, options);
  const watched = new Map<string, number>();
  const post = (message: FromLogThread): void => port.postMessage(message);
  let maintenance = Promise.resolve();
  const maintain = (now: number): Promise<void> => {
    const next = maintenance.then(() => store.maintain(now));
    maintenance = next.catch(() => {});
    return next;
  };
  const timer = setInterval(() => void maintain(Date.now()).catch(() => {}), MAINTAIN_EVERY_MS);

  const tellWatchers = (lines: KeptLine[]): void => {
    if (watched.size === 0) return;
    for (const owner of new Set(lines.map(ownerOf)))
      if (watched.has(owner)) post({ kind: 'new', owner, lines: lines.filter((line) => ownerOf(line) === owner) });
  };
  const answer = (id: number, work: Promise<FromLogThread>): void => {
    work.then(post, (error: unknown) => post({ kind: 'failed', id, why: (error as NodeJS.ErrnoException).code ?? 'unknown' }));
  };
  port.on('message', (message: ToLogThread) => {
    switch (message.kind) {
      case 'append': {
        const kept = store.append(unpackLines(message.lines));
        const health = { fault: store.fault, lost: store.lost, damaged: store.damaged };
        post({ kind: 'kept', chars: message.chars, lines: kept.length, health });
        return tellWatchers(kept);
      }
      case 'search':
        return answer(
          message.id,
          store.search(message.search).then((hits) => ({ kind: 'found', id: message.id, hits })),
        );
      case 'watch':
        watched.set(message.owner, (watched.get(message.owner) ?? 0) + 1);
        return post({ kind: 'watching', id: message.id, lastSeq: store.lastSeq });
      case 'unwatch': {
        const left = (watched.get(message.owner) ?? 1) - 1;
        if (left > 0) watched.set(message.owner, left);
        else watched.delete(message.owner);
        return;
      }
      case 'maintain':
        return answer(
          message.id,
          maintain(message.now).then(() => ({ kind: 'maintained', id: message.id })),
        );
      case 'close':
        clearInterval(timer);
        store.close();
        return port.close();
    }
  });
}

if (parentPort) run(parentPort, workerData as LogThreadData);
