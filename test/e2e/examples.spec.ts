import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fnsOn } from './fns.js';
import { ADMIN_KEY, Platform, until } from './platform.js';

const EXAMPLES = join(__dirname, '..', '..', 'examples');

describe('examples', () => {
  const platform = new Platform();
  const folder = mkdtempSync(join(tmpdir(), 'fns-examples-'));
  beforeAll(async () => {
    cpSync(EXAMPLES, folder, { recursive: true });
    await platform.start();
  });
  afterAll(async () => {
    await platform.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  const inside = (name: string) => fnsOn(platform, join(folder, name));
  /** Deploys it as its README says; its function's id. */
  async function deploy(name: string): Promise<string> {
    const { code, stderr, json } = await inside(name)(['deploy', '--json']);
    if (code !== 0) throw new Error(stderr);
    return json.functions[0].functionId;
  }
  const route = (path: string, init?: RequestInit) => fetch(`${platform.url}/http/default${path}`, init);

  it('are all tested here', () => {
    const all = readdirSync(EXAMPLES, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    expect(all.sort()).toEqual(['coupon-calc', 'cron-job', 'hello-node', 'hello-python', 'hello-typescript', 'http-api', 'queue-worker']);
  });

  it.each(['hello-node', 'hello-python', 'hello-typescript'])('%s greets', async (name) => {
    await deploy(name);
    const fns = inside(name);
    expect(JSON.parse((await fns(['invoke', name, '{"name":"Ada"}'])).stdout).message).toBe('Hello, Ada!');
    expect((await fns(['logs', name])).stdout).toContain('greeting Ada');
    if (name === 'hello-typescript') return;
    expect(await (await route(`/${name}?name=Bob`)).json()).toMatchObject({ message: 'Hello, Bob!' });
  });

  it('coupon-calc prices a cart, the same way by its route, once under a key', async () => {
    await deploy('coupon-calc');
    const cart = { items: [{ priceCents: 1250, quantity: 3 }], coupons: ['TEN', 'THIRD', 'FIVER', 'NONE'] };
    const answer = JSON.parse((await inside('coupon-calc')(['invoke', 'coupon-calc', JSON.stringify(cart)])).stdout);
    expect(answer).toMatchObject({ subtotalCents: 3750, totalCents: 3750 - 375 - 1250 - 500 });
    const post = (body: unknown, key: string) =>
      route('/coupons/price', {
        method: 'POST',
        headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify(body),
      });
    expect(await (await post(cart, 'cart-1')).json()).toEqual(answer);
    expect((await post(cart, 'cart-1')).headers.get('idempotency-replayed')).toBe('true');
    expect((await post({ items: [] }, 'cart-2')).status).toBe(422);
    expect((await route('/coupons/price', { method: 'POST', body: '{}' })).status).toBe(401);
  });

  it('queue-worker handles what it can; the rest becomes a dead letter', async () => {
    const id = await deploy('queue-worker');
    await inside('queue-worker')([
      'queue',
      'send',
      'queue-worker-orders',
      '{"id":1,"quantity":2}',
      '{"id":2,"quantity":0}',
      '{"id":3,"quantity":1}',
    ]);
    const letters = await until('the bad order is a dead letter', async () => {
      const all = await platform.all(`/functions/${id}/dead-letters`);
      return all.length > 0 && all;
    });
    expect(letters).toEqual([expect.objectContaining({ reason: 'max_retries', attempts: 3 })]);
    const handled = (await platform.all(`/functions/${id}/logs?q=handled`)).map(({ message }) => message);
    expect(handled.sort()).toEqual(['handled {"id":1,"quantity":2}', 'handled {"id":3,"quantity":1}']);
  });

  it('cron-job is due within a minute, and gives its input on', async () => {
    await deploy('cron-job');
    const [trigger] = (await inside('cron-job')(['trigger', 'ls', 'cron-job', '--json'])).json;
    expect(trigger).toMatchObject({ type: 'cron', timezone: 'Europe/Berlin' });
    const next = Date.parse(trigger.nextRuns[0]);
    expect(next % 60_000).toBe(0);
    expect(next - Date.now()).toBeLessThanOrEqual(60_000);
    const event = { scheduledTime: trigger.nextRuns[0], triggerId: trigger.triggerId, input: trigger.input };
    const { stdout } = await inside('cron-job')(['invoke', 'cron-job', JSON.stringify(event)]);
    expect(JSON.parse(stdout)).toEqual({ report: 'minutely', scheduledTime: trigger.nextRuns[0] });
  });

  it('http-api answers a whole PNG, the same one for the same text', async () => {
    await deploy('http-api');
    const fetched = async (text: string) => {
      const answer = await route(`/http-api/badge/${encodeURIComponent(text)}`, { headers: { origin: 'https://example.com' } });
      expect([answer.status, answer.headers.get('content-type'), answer.headers.get('access-control-allow-origin')]).toEqual([
        200,
        'image/png',
        '*',
      ]);
      return Buffer.from(await answer.arrayBuffer());
    };
    const image = await fetched('ada');
    expect(image.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a');
    expect(image.subarray(-8, -4).toString('latin1')).toBe('IEND');
    expect(image.readUInt32BE(16)).toBe(80);
    expect(await fetched('ada')).toEqual(image);
    expect(await fetched('bob')).not.toEqual(image);
  });
});
