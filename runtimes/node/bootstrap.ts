/**
 * The process inside a Node slot. It starts with nothing but this file, waits for its ASSIGN frame, loads the code of
 * one function version, runs its calls, and ends when the invoker does. Frames: lib/slots/frames.ts.
 */
import { type Assignment, decodeCall, encodeFrame, Frame } from '../../lib/slots/frames.js';
import { Calls, watchFaults } from './calls.js';
import { Channel, leave } from './channel.js';
import { installEnvironment, sharedContext } from './context.js';
import { loadErrorInfo, loadHandler } from './load.js';
import { Output } from './output.js';
import { installAwslambda } from './streaming.js';

let calls: Calls | undefined;
let isRecalled = false;
const channel: Channel = new Channel(
  (type, bytes, from, to) => {
    if (type === Frame.CALL) calls?.add(decodeCall(bytes, from, to));
    else if (type === Frame.RECALL) isRecalled = true;
    else if (type === Frame.ASSIGN) void assign(JSON.parse(bytes.toString('utf8', from, to)) as Assignment);
  },
  () => {
    calls?.startNext();
    // After the start: a call that is first in line when the recall comes is no longer given back.
    if (isRecalled) calls?.recall();
    isRecalled = false;
  },
  () => leave(0),
);
const output = new Output(channel);
output.install();
installAwslambda();

async function assign(assignment: Assignment): Promise<void> {
  try {
    process.chdir(assignment.code);
    const shared = sharedContext(assignment);
    installEnvironment(assignment, shared);
    output.logBytes = assignment.logBytes;
    process.on('uncaughtException', notLoaded);
    process.on('unhandledRejection', notLoaded);
    const handler = await loadHandler(assignment);
    process.off('uncaughtException', notLoaded);
    process.off('unhandledRejection', notLoaded);
    calls = new Calls(channel, output, assignment, shared, handler);
    watchFaults(calls);
    channel.ready();
  } catch (error) {
    notLoaded(error);
  }
}

function notLoaded(error: unknown): void {
  channel.send(encodeFrame(Frame.INIT_FAILED, JSON.stringify(loadErrorInfo(error))));
}
