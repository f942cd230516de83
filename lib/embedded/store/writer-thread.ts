import { parentPort, workerData } from 'node:worker_threads';
import { Checkpoints } from './checkpoints.js';
import { CONCERNS } from './concerns.js';
import { errorRecord, type FromWriter, isDiskFailure, type KillPoint, type ToWriter, type WriterData } from './protocol.js';
import { Writer } from './writer.js';

const port = parentPort!;
const { path, boot, killSwitch } = workerData as WriterData;
const say = (message: FromWriter): void => port.postMessage(message);

function killAt(point: KillPoint, batch: number): void {
  if (!killSwitch || killSwitch.point !== point || batch < killSwitch.batch) return;
  say({ kind: 'killPoint' });
  // Waits here, outside native code: terminate() inside a call of the SQLite addon aborts the whole process.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function open(): Writer | undefined {
  try {
    const writer = new Writer(path, boot, CONCERNS);
    say({ kind: 'ready', last: writer.last });
    return writer;
  } catch (error) {
    say({ kind: 'unopened', fault: errorRecord(error) });
    port.close();
    return undefined;
  }
}

function runBatch(writer: Writer, { number, names, inputs }: Extract<ToWriter, { kind: 'batch' }>): void {
  killAt('batch-received', number);
  try {
    const answers = writer.run(number, names, inputs, (point) => killAt(point, number));
    killAt('after-commit', number);
    say({ kind: 'done', number, answers });
  } catch (error) {
    const fault = errorRecord(error);
    say({ kind: 'failed', number, fault, certain: !isDiskFailure(fault) });
  }
}

function probe(writer: Writer): void {
  try {
    writer.probe();
    say({ kind: 'probed' });
  } catch (error) {
    say({ kind: 'probed', fault: errorRecord(error) });
  }
}

function serve(writer: Writer): void {
  const checkpoints = new Checkpoints(writer);
  port.on('message', (message: ToWriter) => {
    if (message.kind === 'batch') {
      runBatch(writer, message);
      checkpoints.wrote(message.names.length);
    } else if (message.kind === 'probe') {
      probe(writer);
    } else {
      checkpoints.stop();
      port.close();
      writer.close();
    }
  });
}

const writer = open();
if (writer) serve(writer);
