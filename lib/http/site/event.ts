import { isUtf8 } from 'node:buffer';
import type { HttpTrigger } from '../../core/triggers/model.js';
import { decoded } from '../../core/triggers/routes.js';

/** A request, as far as the event tells of it. */
export interface SiteRequest {
  method: string;
  rawPath: string;
  rawQuery: string;
  /** Name, value, name, value …, as received. */
  rawHeaders: string[];
  httpVersion: string;
  remoteAddress: string | undefined;
  body: Buffer;
}

export interface EventContext {
  trigger: HttpTrigger;
  routeKey: string;
  params: Record<string, string> | undefined;
  /** The header that authenticated, taken out. */
  credentialHeader?: string;
  /** Who called: shown as requestContext.authorizer. */
  authorizer?: Record<string, unknown>;
  requestId: string;
  now: number;
}

/** Of the connection, not of the request (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect']);

/**
 * The API Gateway HTTP API event, payload format 2.0
 * (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html), as JSON.
 * Fields without a value are left out, as there.
 */
export function httpEvent(request: SiteRequest, context: EventContext): string {
  const { headers, cookies } = headersOf(request.rawHeaders, context.credentialHeader);
  const sourceIp = (request.remoteAddress ?? '').replace(/^::ffff:/, '');
  headers['x-forwarded-for'] = headers['x-forwarded-for'] ? `${headers['x-forwarded-for']},${sourceIp}` : sourceIp;
  const domainName = (headers.host ?? '').replace(/:\d+$/, '');
  const { body, isBase64Encoded } = bodyOf(request.body, headers['content-type'], headers['content-encoding']);
  const { tenantId } = context.trigger;
  return JSON.stringify({
    version: '2.0',
    routeKey: context.routeKey,
    rawPath: request.rawPath,
    rawQueryString: request.rawQuery,
    cookies,
    headers,
    queryStringParameters: queryOf(request.rawQuery),
    pathParameters: context.params,
    requestContext: {
      accountId: tenantId,
      apiId: tenantId,
      authorizer: context.authorizer,
      domainName,
      domainPrefix: domainName.split('.', 1)[0],
      http: {
        method: request.method,
        path: request.rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: context.requestId,
      routeKey: context.routeKey,
      stage: '$default',
      time: commonLogTime(context.now),
      timeEpoch: context.now,
    },
    body,
    isBase64Encoded,
  });
}

/** Without a prototype: a header or a parameter may be called `__proto__`. */
const texts = (): Record<string, string> => Object.create(null) as Record<string, string>;

function headersOf(raw: string[], taken: string | undefined): { headers: Record<string, string>; cookies: string[] | undefined } {
  const headers = texts();
  let cookies: string[] | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const value = raw[i + 1]!;
    if (name === taken || HOP_BY_HOP.has(name)) continue;
    if (name === 'cookie') {
      cookies ??= [];
      for (const cookie of value.split(';')) if (cookie.trim() !== '') cookies.push(cookie.trim());
    } else headers[name] = name in headers ? `${headers[name]},${value}` : value;
  }
  return { headers, cookies };
}

function queryOf(rawQuery: string): Record<string, string> | undefined {
  if (rawQuery === '') return undefined;
  const query = texts();
  for (const pair of rawQuery.split('&')) {
    if (pair === '') continue;
    const mark = pair.indexOf('=');
    const name = plain(mark < 0 ? pair : pair.slice(0, mark));
    const value = mark < 0 ? '' : plain(pair.slice(mark + 1));
    query[name] = name in query ? `${query[name]},${value}` : value;
  }
  return query;
}

/** Malformed encodings stay as they came. */
function plain(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  return decoded(spaced) ?? text;
}

const TEXT_TYPE = /^(text\/|application\/(json|javascript|xml|x-www-form-urlencoded|graphql|x-ndjson)|[\w.+-]+\/[\w.-]+\+(json|xml))/i;

/** Text by its type, or of no type at all; and only where it really is UTF-8, so that no byte is ever changed. */
function bodyOf(
  bytes: Buffer,
  type: string | undefined,
  encoding: string | undefined,
): { body: string | undefined; isBase64Encoded: boolean } {
  if (bytes.length === 0) return { body: undefined, isBase64Encoded: false };
  const isText = (type === undefined || TEXT_TYPE.test(type)) && (encoding === undefined || encoding === 'identity') && isUtf8(bytes);
  return isText ? { body: bytes.toString('utf8'), isBase64Encoded: false } : { body: bytes.toString('base64'), isBase64Encoded: true };
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
let clfSecond = -1;
let clfText = '';

/** `12/Mar/2026:19:03:58 +0000`; the same text serves all requests of a second. */
function commonLogTime(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== clfSecond) {
    const iso = new Date(now).toISOString();
    clfText = `${iso.slice(8, 10)}/${MONTHS[Number(iso.slice(5, 7)) - 1]}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
    clfSecond = second;
  }
  return clfText;
}
