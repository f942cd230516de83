import { createHash } from 'node:crypto';
import type { Message, SQSClient } from '@aws-sdk/client-sqs';
import type { TriggerId } from '../../core/ids.js';
import type { QueueTrigger } from '../../core/triggers/model.js';
import type { NewMessage } from '../../core/triggers/port.js';
import { queueAddress } from '../../core/triggers/queue-origin.js';
import type { ForeignQueues } from '../../core/triggers/runners.js';

/** Long polling: a quiet queue costs three requests a minute (SQS allows 20 s at most). */
const POLL_SEC = 20;
const RECEIVE_AT_ONCE = 10;
/** While enough of its messages wait here already. */
const FULL_LOOK_MS = 250;
const FAULT_BASE_MS = 500;
const FAULT_MAX_MS = 30_000;

/**
 * Endpoints other than AWS's get these, never the platform's own: whoever runs an endpoint learns what it is signed with.
 * Emulators take any.
 */
const EMULATOR_CREDENTIALS = { accessKeyId: 'fns', secretAccessKey: 'fns' };

type Into = (messages: NewMessage[]) => Promise<boolean>;

/**
 * Receives from SQS queues. Order, for the case of a crash at any place: received, then durable here, then deleted there. A message
 * that was not deleted comes again, and its id is known here for 24 h.
 */
export class SqsQueues implements ForeignQueues {
  private readonly receivers = new Map<TriggerId, Receiver>();

  set(trigger: QueueTrigger, into: Into, failed: (code: string) => void): void {
    this.remove(trigger.triggerId);
    this.receivers.set(trigger.triggerId, new Receiver(trigger.queueUrl ?? '', into, failed));
  }

  remove(triggerId: TriggerId): void {
    void this.receivers.get(triggerId)?.stop();
    this.receivers.delete(triggerId);
  }

  async stop(): Promise<void> {
    const all = [...this.receivers.values()];
    this.receivers.clear();
    await Promise.all(all.map((receiver) => receiver.stop()));
  }
}

class Receiver {
  private readonly stopping = new AbortController();
  private readonly ended: Promise<void>;

  constructor(
    private readonly url: string,
    private readonly into: Into,
    private readonly failed: (code: string) => void,
  ) {
    this.ended = this.loop();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.ended;
  }

  private async loop(): Promise<void> {
    // Loaded when it is first needed: most platforms never do.
    const sqs = await import('@aws-sdk/client-sqs');
    const { endpoint, region, isAws } = queueAddress(this.url);
    const client = new sqs.SQSClient(isAws ? { region } : { region, endpoint, credentials: EMULATOR_CREDENTIALS });
    for (let faults = 0; !this.stopping.signal.aborted; ) {
      try {
        const moved = await this.move(client, sqs);
        faults = 0;
        if (!moved) await this.pause(FULL_LOOK_MS);
      } catch (error) {
        if (this.stopping.signal.aborted) break;
        this.failed((error as Error).name);
        await this.pause(Math.min(FAULT_BASE_MS * 2 ** faults, FAULT_MAX_MS));
        faults = Math.min(faults + 1, 10);
      }
    }
    client.destroy();
  }

  /** False: no room here now. */
  private async move(
    client: SQSClient,
    { ReceiveMessageCommand, DeleteMessageBatchCommand }: typeof import('@aws-sdk/client-sqs'),
  ): Promise<boolean> {
    if (!(await this.into([]))) return false;
    const receive = new ReceiveMessageCommand({
      QueueUrl: this.url,
      MaxNumberOfMessages: RECEIVE_AT_ONCE,
      WaitTimeSeconds: POLL_SEC,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    });
    const { Messages = [] } = await client.send(receive, { abortSignal: this.stopping.signal });
    if (Messages.length === 0) return true;
    // Not durable here: they become visible there again by themselves.
    if (!(await this.into(Messages.map(messageOf)))) return false;
    const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }));
    await client.send(new DeleteMessageBatchCommand({ QueueUrl: this.url, Entries }));
    return true;
  }

  private pause(ms: number): Promise<void> {
    const { signal } = this.stopping;
    return new Promise((resolve) => {
      const timer = setTimeout(go, ms);
      function go() {
        clearTimeout(timer);
        signal.removeEventListener('abort', go);
        resolve();
      }
      if (signal.aborted) go();
      else signal.addEventListener('abort', go);
    });
  }
}

/** As it will stand in the event (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html). */
function messageOf({ MessageId = '', Body = '', MD5OfBody, Attributes = {}, MessageAttributes = {} }: Message): NewMessage {
  const {
    SentTimestamp,
    MessageGroupId,
    ApproximateReceiveCount: _count,
    ApproximateFirstReceiveTimestamp: _first,
    ...attributes
  } = Attributes;
  const messageAttributes = Object.fromEntries(
    Object.entries(MessageAttributes).map(([name, { DataType, StringValue, BinaryValue }]) => [
      name,
      {
        ...(StringValue === undefined ? {} : { stringValue: StringValue }),
        ...(BinaryValue === undefined ? {} : { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
        stringListValues: [],
        binaryListValues: [],
        dataType: DataType ?? 'String',
      },
    ]),
  );
  return {
    messageId: MessageId,
    given: true,
    body: Body,
    md5: MD5OfBody ?? createHash('md5').update(Body).digest('hex'),
    group: MessageGroupId,
    sentAt: Number(SentTimestamp ?? Date.now()),
    attributes: attributes as Record<string, string>,
    messageAttributes,
  };
}
