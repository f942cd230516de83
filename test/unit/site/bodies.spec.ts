import http from 'node:http';
import net from 'node:net';
import { gunzipSync } from 'node:zlib';
import { ended, SiteServer } from './site-server.js';

describe('the bodies of a site', () => {
  let site: SiteServer;

  beforeEach(async () => {
    site = new SiteServer();
    await site.start();
  });
  afterEach(() => site.stop());

  it('carries every byte both ways', async () => {
    site.route();
    site.handler = (event) => ({
      statusCode: 200,
      headers: { 'content-type': 'application/octet-stream' },
      body: event.body,
      isBase64Encoded: event.isBase64Encoded,
    });
    const all = Buffer.from(Array.from({ length: 256 * 40 }, (_, i) => i % 256));
    const back = await site.open('POST', '/http/default/hello/x', { body: all, headers: { 'content-type': 'application/octet-stream' } });
    expect(back.body.equals(all)).toBe(true);
    const invalid = Buffer.from([0x7b, 0xff, 0x7d]);
    expect(
      (await site.open('POST', '/http/default/hello/x', { body: invalid, headers: { 'content-type': 'application/json' } })).body.equals(
        invalid,
      ),
    ).toBe(true);
    const text = await site.open('POST', '/http/default/hello/x', { body: '{"grüße":1}', headers: { 'content-type': 'application/json' } });
    expect(text.text).toBe('{"grüße":1}');
    expect(JSON.parse(site.calls.at(-1)!.payload)).toMatchObject({ body: '{"grüße":1}', isBase64Encoded: false });
  });

  it('compresses what is worth it for those who take it', async () => {
    site.route();
    site.handler = () => ({
      statusCode: 200,
      headers: { 'content-type': 'text/html', etag: '"1"', vary: 'Cookie' },
      body: 'hello '.repeat(1000),
    });
    const packed = await site.open('GET', '/http/default/hello/x', { headers: { 'accept-encoding': 'br, gzip' } });
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Cookie, Accept-Encoding', etag: 'W/"1"' });
    expect(gunzipSync(packed.body).toString()).toBe('hello '.repeat(1000));
    expect(
      (await site.open('GET', '/http/default/hello/x', { headers: { 'accept-encoding': 'gzip;q=0' } })).headers['content-encoding'],
    ).toBeUndefined();
    site.handler = () => 'short';
    expect(
      (await site.open('GET', '/http/default/hello/x', { headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding'],
    ).toBeUndefined();
  });

  it('refuses a body over 6 MB with 413, whether it says so or not', async () => {
    site.route();
    const big = Buffer.alloc(6 * 1024 * 1024 + 1);
    expect((await site.open('POST', '/http/default/hello/x', { body: big })).status).toBe(413);
    expect((await site.open('POST', '/http/default/hello/x', { body: big, headers: { 'transfer-encoding': 'chunked' } })).status).toBe(413);
    expect(site.calls).toHaveLength(0);
  });

  it.each([
    ['stands still', 10_000],
    ['drips for ever', 100],
  ])('answers 408 to a body that %s, and never calls the function', async (_what, everyMs) => {
    site.route();
    const socket = net.connect(site.port, '127.0.0.1');
    socket.write('POST /http/default/hello/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx');
    const drip = setInterval(() => socket.write('x'), everyMs);
    const answer = await new Promise<string>((done) => socket.on('data', (bytes) => done(bytes.toString())));
    clearInterval(drip);
    socket.destroy();
    expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*FNS_408_SLOW_BODY/);
    expect(site.calls).toHaveLength(0);
  });

  it('streams what the handler streams, in order, with its head first', async () => {
    site.route();
    site.handler = async (_event, call) => {
      await call.onChunk!({ kind: 'head', json: '{"statusCode":201,"headers":{"content-type":"text/plain"},"cookies":["a=1"]}' });
      for (let i = 0; i < 200; i += 1) await call.onChunk!({ kind: 'data', bytes: Buffer.alloc(10_000, 65 + (i % 26)) });
      return null;
    };
    const answer = await site.open('GET', '/http/default/hello/x');
    expect([answer.status, answer.body.length, answer.headers['content-type'], answer.headers['set-cookie']]).toEqual([
      201,
      2_000_000,
      'text/plain',
      ['a=1; Path=/http/default/'],
    ]);
  });

  it('cuts a stream short when the handler fails in the middle, so that the client can tell', async () => {
    site.route();
    site.handler = async (_event, call) => {
      await call.onChunk!({ kind: 'data', bytes: Buffer.from('half') });
      return ended('FAILED');
    };
    await expect(site.open('GET', '/http/default/hello/x')).rejects.toThrow();
  });

  it('lets a stream go on for a client that went away, and ends it quietly', async () => {
    site.route();
    let finished: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      finished = resolve;
    });
    site.handler = async (_event, call) => {
      for (let i = 0; i < 100; i += 1) await call.onChunk!({ kind: 'data', bytes: Buffer.alloc(100_000) });
      finished();
      return null;
    };
    const req = http.get({ port: site.port, host: '127.0.0.1', path: '/http/default/hello/x', agent: false }, (res) =>
      res.once('data', () => req.destroy()),
    );
    req.on('error', () => {});
    await done;
  });
});
