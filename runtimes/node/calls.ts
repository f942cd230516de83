import { finished } from 'node:stream';
import type { ErrorInfo } from '../../lib/core/invocations/model.js';
import { type Assignment, type CallFields, Frame } from '../../lib/slots/frames.js';
import { type Channel, leave } from './channel.js';
import { Context, type SharedContext } from './context.js';
import { errorInfo } from './errors.js';
import type { Handler } from './load.js';
import { currentCall, type Output, type Printed } from './output.js';
import { isStreamed, ResponseStream } from './streaming.js';

// Taken before tenant code can replace them.
const { parse, stringify } = JSON;

/** One call between its start and its answer. */
class RunningCall implements Printed {
  printedBytes = 0;
  droppedBytes = 0;
  constructor(
    readonly id: number,
    readonly fields: CallFields,
  ) {}
}

/** Runs the calls of this slot: in order, `perSlot` at a time, each answered once. */
export class Calls {
  private waiting: CallFields[] = [];
  private readonly running = new Set<RunningCall>();
  private starting = false;
  private broken = false;
  private readonly streamed: boolean;
  private readonly takesCallback: boolean;

  constructor(
    private readonly channel: Channel,
    private readonly output: Output,
    private readonly assignment: Assignment,
    private readonly shared: SharedContext,
    private readonly handler: Handler,
  ) {
    this.streamed = isStreamed(handler);
    this.takesCallback = handler.length >= 3;
  }

  add(call: CallFields): void {
    this.waiting.push(call);
  }

  /** Starts what may start now. */
  startNext(): void {
    if (this.starting) return;
    this.starting = true;
    let taken = 0;
    while (!this.broken && taken < this.waiting.length && this.running.size < this.assignment.perSlot) {
      this.start(this.waiting[taken]!);
      taken += 1;
    }
    this.starting = false;
    this.waiting = taken === this.waiting.length ? [] : this.waiting.slice(taken);
    // They were on their way when the process broke.
    if (this.broken && this.waiting.length > 0) this.recall();
  }

  /** Gives back what has not started. */
  recall(): void {
    const ids = this.waiting.map(({ id }) => id);
    this.waiting = [];
    this.channel.returned(ids);
  }

  /** The process cannot be trusted further: `culprit` ends with this error, what has not started goes back, nothing new starts. */
  break(thrown: unknown, culprit: Printed | undefined): void {
    const info = errorInfo(thrown);
    this.broken = true;
    const guilty = [...this.running].filter((call) => culprit === undefined || culprit === call);
    for (const call of guilty) this.endBroken(call, info);
    if (guilty.length === 0) {
      this.output.write(2, `Uncaught after its call had ended: ${info.type}: ${info.message}\n${(info.stack ?? []).join('\n')}\n`);
      this.channel.put(Frame.BROKEN, 0, stringify(info));
    }
    this.recall();
    this.channel.flushBlocking(0);
  }

  /** The process is about to leave by the function's own will. */
  leaving(how: string): void {
    const info = { type: 'Runtime.ExitError', message: `The function ended its process with ${how} before it had answered.`, stack: [] };
    for (const call of this.running) this.endBroken(call, info);
    this.channel.flushBlocking(0);
  }

  private endBroken(call: RunningCall, info: ErrorInfo): void {
    this.running.delete(call);
    this.output.end(call);
    this.channel.put(Frame.BROKEN, call.id, stringify(info));
  }

  private start(fields: CallFields): void {
    const call = new RunningCall(fields.id, fields);
    this.running.add(call);
    currentCall.run(call, this.invoke, call);
  }

  private readonly invoke = (call: RunningCall): void => {
    try {
      const event: unknown = parse(call.fields.payload);
      const done = (error: unknown, result?: unknown): void => (error ? this.fail(call, error) : this.succeed(call, result));
      const context = new Context(this.shared, call.fields, done);
      if (this.streamed) {
        this.invokeStreamed(call, event, context);
        return;
      }
      const returned: unknown = this.handler(event, context, done);
      if (isThenable(returned)) {
        returned.then(
          (value) => this.succeed(call, value),
          (error) => this.fail(call, error),
        );
      } else if (!this.takesCallback) this.succeed(call, returned);
    } catch (error) {
      this.fail(call, error);
    }
  };

  private invokeStreamed(call: RunningCall, event: unknown, context: Context): void {
    const stream = new ResponseStream(this.channel, call.id, call.fields.streamed, this.assignment.resultBytes);
    const handled = Promise.resolve(this.handler(event, stream, context));
    handled.then(
      () => {
        if (!stream.writableEnded) stream.end();
      },
      (error) => stream.destroy(error instanceof Error ? error : Object.assign(new Error(String(error)), { name: 'Error' })),
    );
    finished(stream, { readable: false }, (error) => {
      if (error) this.fail(call, error);
      else handled.then(() => this.succeed(call, stream.value()));
    });
  }

  private succeed(call: RunningCall, value: unknown): void {
    if (!this.running.has(call)) return;
    let text: string | undefined;
    try {
      text = value === undefined ? 'null' : stringify(value);
    } catch (error) {
      this.refuse(call, 'Runtime.MarshalError', errorInfo(error).message);
      return;
    }
    if (typeof text !== 'string') {
      this.refuse(call, 'Runtime.MarshalError', `The handler returned a ${typeof value}, which JSON cannot hold.`);
      return;
    }
    const bytes = Buffer.byteLength(text);
    const { resultBytes } = this.assignment;
    if (bytes <= resultBytes) this.answer(call, Frame.RESULT, text, bytes);
    else this.refuse(call, 'Function.ResponseTooLarge', `The result is ${bytes} bytes large; the limit is ${resultBytes}.`);
  }

  private refuse(call: RunningCall, type: string, message: string): void {
    this.answer(call, Frame.ERROR, stringify({ type, message, stack: [] }));
  }

  private fail(call: RunningCall, error: unknown): void {
    if (this.running.has(call)) this.answer(call, Frame.ERROR, stringify(errorInfo(error)));
  }

  private answer(call: RunningCall, type: number, text: string, bytes?: number): void {
    this.running.delete(call);
    this.output.end(call);
    this.channel.put(type, call.id, text, bytes);
    // One at a time: with the kernel before the next one starts, so that a crash is never put on a call that had ended.
    if (this.assignment.perSlot === 1) this.channel.flush();
    else this.channel.flushSoon();
    this.startNext();
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  value !== null && typeof value === 'object' && typeof (value as { then?: unknown }).then === 'function';

/** Ends of the process that the function brings about: running calls are answered first. */
export function watchFaults(calls: Calls): void {
  const broken = (thrown: unknown): void => calls.break(thrown, currentCall.getStore());
  process.on('uncaughtException', broken);
  process.on('unhandledRejection', broken);
  process.reallyExit = (code?: number): never => {
    calls.leaving(`exit code ${code ?? 0}`);
    return leave(code ?? 0);
  };
  const abort = process.abort.bind(process);
  process.abort = (): never => {
    calls.leaving('process.abort()');
    return abort();
  };
}
