import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { controlPlaneListener } from '../../../lib/http/listener.js';
import { servicesOf } from './services.js';

const key = { authorization: 'Bearer owner', 'content-type': 'application/json' };

describe('the control plane behind node:http', () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    const tenancy = { createNamespace: async (_: unknown, name: string) => ({ name, createdAt: 0 }) };
    server = createServer(controlPlaneListener(servicesOf({ tenancy: tenancy as never })));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => new Promise((done) => server.close(done)));

  const send = (method: string, path: string, body?: string | Buffer, headers: Record<string, string> = key) =>
    new Promise<{ status: number; text: string }>((done, fail) => {
      let answered = false;
      const req = request({ port, method, path, headers, agent: false }, (res) => {
        answered = true;
        let text = '';
        res
          .setEncoding('utf8')
          .on('data', (part) => (text += part))
          .on('end', () => done({ status: res.statusCode ?? 0, text }))
          .on('error', fail);
      });
      // A server that refuses a body may close while we still write: its answer counts.
      req.on('error', (error) => void (answered || fail(error)));
      req.end(body);
    });

  it('takes a JSON body, chunked or with its length', async () => {
    expect((await send('POST', '/api/v1/namespaces', '{"name":"a"}')).status).toBe(201);
    expect((await send('POST', '/api/v1/namespaces', '{"name":"a"}', { ...key, 'transfer-encoding': 'chunked' })).status).toBe(201);
    expect((await send('POST', '/api/v1/namespaces', '{"name":')).status).toBe(400);
    expect((await send('POST', '/api/v1/namespaces')).status).toBe(400);
  });

  it('answers 413 to a body over the limit, and goes on', async () => {
    const big = Buffer.alloc(12 * 1024 * 1024, 'x');
    expect((await send('POST', '/api/v1/namespaces', big, { ...key, 'content-length': String(big.length) })).status).toBe(413);
    expect((await send('POST', '/api/v1/namespaces', big, { ...key, 'transfer-encoding': 'chunked' })).status).toBe(413);
    expect((await send('GET', '/healthz')).status).toBe(200);
  });

  it('answers odd paths with a 4xx', async () => {
    for (const path of [
      '/%',
      '//',
      '/..%2f..%2fetc%2fpasswd',
      '/api/v1/functions/%E0%A4%A/x',
      '/api/v1/%00',
      '/docs/%2e%2e/package.json',
      '/api/v1//functions',
      '*',
    ]) {
      const { status, text } = await send('GET', path);
      expect([path, status >= 400 && status < 500, JSON.parse(text).status]).toEqual([path, true, status]);
    }
  });

  it('answers HEAD without a body and OPTIONS with 405', async () => {
    expect(await send('HEAD', '/healthz')).toEqual({ status: 200, text: '' });
    expect(await send('HEAD', '/nothing')).toEqual({ status: 404, text: '' });
    expect((await send('OPTIONS', '/healthz')).status).toBe(405);
  });

  it('survives a caller that hangs up in the middle of its body', async () => {
    const socket = connect(port, '127.0.0.1');
    await new Promise((done) => socket.once('connect', done));
    socket.write(
      `POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nAuthorization: ${key.authorization}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"na`,
    );
    const closed = new Promise((done) => socket.once('close', done));
    socket.destroy();
    await closed;
    expect((await send('GET', '/healthz')).status).toBe(200);
  });
});
