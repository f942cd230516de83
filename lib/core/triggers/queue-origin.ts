import { invalidField, Refusal } from '../refusal.js';
import type { Principal } from '../tenancy/model.js';
import type { QueueOrigin } from './batch.js';
import type { QueueTrigger } from './model.js';

/** An SQS queue's URL in its parts: `https://sqs.eu-west-1.amazonaws.com/123456789012/orders`, or the same at another endpoint. */
export interface QueueAddress {
  endpoint: string;
  region: string;
  /** The endpoint is AWS's own. */
  isAws: boolean;
  account: string;
  name: string;
}

const DEFAULT_REGION = 'us-east-1';

/** Throws a Refusal where it is no queue's URL. */
export function queueAddress(url: string): QueueAddress {
  const form = /^(https?:\/\/([^/?#@]+))\/(?:[^?#]*\/)?([^/?#]+)\/([^/?#]+)$/.exec(url);
  if (!form)
    throw invalidField(
      'queueUrl',
      "is not a queue's URL",
      'https://sqs.<region>.amazonaws.com/<account>/<name>, or the same at another endpoint',
    );
  const [, endpoint = '', host = '', account = '', name = ''] = form;
  const isAws = /^sqs\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$/.test(host);
  const region = /(?:^|\.)sqs\.([a-z0-9-]+)\./.exec(host)?.[1] ?? /^([a-z]{2}(?:-[a-z]+)+-\d)\.queue\./.exec(host)?.[1] ?? DEFAULT_REGION;
  // Names under localhost are the loopback (RFC 6761, 6.3), but not every resolver knows.
  const reachable = endpoint.replace(/^(https?:\/\/)[^/:]+\.localhost(?=:|$)/, '$1localhost');
  return { endpoint: reachable, region, isAws, account, name };
}

/** Where a trigger's messages come from, as the event names it. Always the same for the same trigger: batches repeat to the byte. */
export function queueOrigin({ tenantId, queue, queueUrl }: QueueTrigger): QueueOrigin {
  if (queueUrl === undefined) return { arn: `arn:aws:sqs:local:${tenantId}:${queue}`, region: 'local' };
  const { region, account, name } = queueAddress(queueUrl);
  return { arn: `arn:aws:sqs:${region}:${account}:${name}`, region };
}

/** Link-local addresses: of instance and task metadata, which hand out credentials. */
const METADATA = /^(\[?fe80:|\[?fd00:ec2:|169\.254\.)/i;

/**
 * Receiving is the platform's own act, from its own network and, at AWS, with its own credentials: so only the platform's owner may
 * point it at a queue. Others would read what the platform can reach.
 */
export function checkQueueUrl(who: Principal, url: string): void {
  const { endpoint } = queueAddress(url);
  if (!who.admin && who.tenantId !== 'default') {
    throw new Refusal(
      403,
      'FNS_403_QUEUE_URL',
      'Only the tenant that owns the platform may take from queues by URL; send to a queue of your own by POST /queues/{name}/messages.',
    );
  }
  if (METADATA.test(endpoint.replace(/^https?:\/\//, '')))
    throw invalidField('queueUrl', 'is an address of the machine’s metadata', 'an SQS endpoint');
}
