import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connection } from '../../../lib/cli/connection.js';

describe('where the platform is, and who calls', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-cli-'));
  const inside = join(folder, 'project', 'src');
  mkdirSync(inside, { recursive: true });
  mkdirSync(join(folder, '.fns'));
  writeFileSync(join(folder, '.fns', 'credentials.json'), JSON.stringify({ url: 'http://127.0.0.1:9999', key: 'kept' }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('comes from the data folder above, when nothing was said', () => {
    expect(connection({}, {}, inside)).toEqual({
      url: 'http://127.0.0.1:9999',
      key: 'kept',
      keyFrom: join(folder, '.fns', 'credentials.json'),
    });
  });

  it('options win over the environment, and the environment over the data folder', () => {
    const env = { FNS_URL: 'https://fns.example.com/', FNS_API_KEY: 'from-env' };
    expect(connection({}, env, inside)).toMatchObject({ url: 'https://fns.example.com', key: 'from-env' });
    expect(connection({ url: 'http://other:1/api/v1', apiKey: 'said' }, env, inside)).toMatchObject({ url: 'http://other:1', key: 'said' });
  });

  it('never sends the key of the platform on this machine to another host', () => {
    expect(connection({ url: 'https://elsewhere.example.com' }, {}, inside).key).toBeUndefined();
  });

  it('FNS_DATA_DIR names the data folder', () => {
    expect(connection({}, { FNS_DATA_DIR: join(folder, '.fns') }, '/').key).toBe('kept');
    expect(connection({}, { FNS_DATA_DIR: join(folder, 'none'), FNS_PORT: '1234' }, inside)).toMatchObject({
      url: 'http://127.0.0.1:1234',
      key: undefined,
    });
  });

  it.each(['ftp://x', 'nonsense', ''])('refuses %j as a URL', (url) => {
    expect(() => connection({ url }, {}, inside)).toThrow(expect.objectContaining({ exitCode: 2 }));
  });
});
