import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { asTenantId, asTriggerId } from '../../lib/core/ids.js';
import type { QueueTrigger } from '../../lib/core/triggers/model.js';
import type { NewMessage } from '../../lib/core/triggers/port.js';
import { queueAddress, queueOrigin } from '../../lib/core/triggers/queue-origin.js';
import { SqsQueues } from '../../lib/embedded/triggers/sqs-queues.js';

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  return port;
}

describe('messages of an SQS queue', () => {
  let emulator: ChildProcess;
  let client: SQSClient;
  let endpoint: string;
  let queues: SqsQueues;
  let made = 0;

  beforeAll(async () => {
    const port = await freePort();
    endpoint = `http://127.0.0.1:${port}`;
    const entry = join(__dirname, '../../node_modules/fauxqs/dist/server.js');
    emulator = spawn(process.execPath, [entry], {
      env: { ...process.env, FAUXQS_PORT: String(port), FAUXQS_LOGGER: 'false' },
      stdio: 'ignore',
    });
    client = new SQSClient({ endpoint, region: 'us-east-1', credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });
    for (const end = Date.now() + 20_000; ; ) {
      const answers = await fetch(endpoint).then(
        () => true,
        () => false,
      );
      if (answers) break;
      if (Date.now() > end) throw new Error('the emulator did not start');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
  afterAll(async () => {
    client.destroy();
    emulator.kill();
    await once(emulator, 'exit');
  });
  beforeEach(() => {
    queues = new SqsQueues();
  });
  afterEach(() => queues.stop());

  async function newQueue(attributes: Record<string, string> = {}): Promise<string> {
    made += 1;
    const name = `orders-${made}${attributes.FifoQueue ? '.fifo' : ''}`;
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
    return QueueUrl!;
  }
  const triggerOf = (queueUrl: string) =>
    ({ type: 'queue', triggerId: asTriggerId(`trg_${made}`), tenantId: asTenantId('default'), queueUrl }) as QueueTrigger;
  const send = (QueueUrl: string, MessageBody: string, more: object = {}) =>
    client.send(new SendMessageCommand({ QueueUrl, MessageBody, ...more }));

  async function until(probe: () => boolean | Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 15_000; !(await probe()); ) {
      if (Date.now() > end) throw new Error('in vain');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  async function leftIn(QueueUrl: string): Promise<number> {
    const AttributeNames = ['ApproximateNumberOfMessages' as const, 'ApproximateNumberOfMessagesNotVisible' as const];
    const { Attributes = {} } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
    return Number(Attributes.ApproximateNumberOfMessages) + Number(Attributes.ApproximateNumberOfMessagesNotVisible);
  }

  it('come with id, body, attributes and digest, and are deleted there once they are durable here', async () => {
    const url = await newQueue();
    const sent = await send(url, 'hello ü', {
      MessageAttributes: {
        kind: { DataType: 'String', StringValue: 'greeting' },
        raw: { DataType: 'Binary', BinaryValue: Buffer.from([1, 2]) },
      },
    });
    const got: NewMessage[] = [];
    queues.set(
      triggerOf(url),
      async (messages) => {
        if (messages.length > 0) expect(await leftIn(url)).toBe(1);
        got.push(...messages);
        return true;
      },
      () => {},
    );
    await until(() => got.length === 1);
    expect(got[0]).toMatchObject({
      messageId: sent.MessageId,
      given: true,
      body: 'hello ü',
      md5: sent.MD5OfMessageBody,
      messageAttributes: { kind: { stringValue: 'greeting', dataType: 'String' }, raw: { binaryValue: 'AQI=', dataType: 'Binary' } },
    });
    expect(Math.abs(got[0]!.sentAt - Date.now())).toBeLessThan(60_000);
    await until(async () => (await leftIn(url)) === 0);
  });

  it('stay there while they cannot be kept here, and come again', async () => {
    const url = await newQueue({ VisibilityTimeout: '1' });
    await send(url, 'one');
    const ids: string[] = [];
    queues.set(
      triggerOf(url),
      async (messages) => {
        ids.push(...messages.map(({ messageId }) => messageId));
        return messages.length === 0 || ids.length >= 2;
      },
      () => {},
    );
    await until(() => ids.length >= 2);
    expect(new Set(ids).size).toBe(1);
    await until(async () => (await leftIn(url)) === 0);
  });

  it('keep their group, and come in its order', async () => {
    const url = await newQueue({ FifoQueue: 'true', ContentBasedDeduplication: 'true' });
    for (const body of ['1', '2', '3']) await send(url, body, { MessageGroupId: 'g' });
    const got: NewMessage[] = [];
    queues.set(
      triggerOf(url),
      async (messages) => Boolean(got.push(...messages)) || true,
      () => {},
    );
    await until(() => got.length === 3);
    expect(got.map(({ body, group }) => [body, group])).toEqual([
      ['1', 'g'],
      ['2', 'g'],
      ['3', 'g'],
    ]);
  });

  it('are missed by name where the queue is not there, and come when it is', async () => {
    made += 1;
    const url = `http://sqs.us-east-1.localhost:${new URL(endpoint).port}/000000000000/orders-${made + 1}`;
    const faults: string[] = [];
    const got: NewMessage[] = [];
    queues.set(
      triggerOf(url),
      async (messages) => Boolean(got.push(...messages)) || true,
      (code) => faults.push(code),
    );
    await until(() => faults.length > 0);
    expect(faults[0]).toMatch(/QueueDoesNotExist/);
    expect(await newQueue()).toBe(url);
    await send(url, 'late');
    await until(() => got.length === 1);
  });

  it('stops at once, though it waits for a quiet queue', async () => {
    const url = await newQueue();
    let asked = 0;
    queues.set(
      triggerOf(url),
      async () => {
        asked += 1;
        return true;
      },
      () => {},
    );
    await until(() => asked > 0);
    const startedAt = Date.now();
    await queues.stop();
    expect(Date.now() - startedAt).toBeLessThan(2_000);
  });

  it.each([
    ['https://sqs.eu-west-1.amazonaws.com/123456789012/orders', 'arn:aws:sqs:eu-west-1:123456789012:orders', true],
    ['http://localhost:4566/000000000000/orders', 'arn:aws:sqs:us-east-1:000000000000:orders', false],
    ['http://sqs.us-west-2.localhost:4566/000000000000/a.fifo', 'arn:aws:sqs:us-west-2:000000000000:a.fifo', false],
    ['http://sqs.eu-west-1.amazonaws.com.evil.example/1/q', 'arn:aws:sqs:eu-west-1:1:q', false],
  ])('%s is %s', (queueUrl, arn, isAws) => {
    expect(queueOrigin({ queueUrl } as QueueTrigger).arn).toBe(arn);
    expect(queueAddress(queueUrl).isAws).toBe(isAws);
  });
});
