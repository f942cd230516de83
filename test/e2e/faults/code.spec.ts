import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, Platform } from '../platform.js';
import { Bystander } from './bystander.js';
import { memoryGrowth } from './processes.js';
import { type Entry, zip } from './zip.js';

const MB = 1024 * 1024;
const ZIP = { 'content-type': 'application/zip' };
const good: Entry = { name: 'index.js', text: 'exports.handler = async () => "good";' };

/** Archives and code that must not get in; whatever is refused leaves the function as it was. */
describe('bad code', () => {
  const platform = new Platform();
  let functionId: string;
  let digest: string;

  beforeAll(async () => {
    await platform.start();
    const made = await platform.function(good.text as string);
    functionId = made.functionId;
    digest = made.codeSha256;
  });
  afterAll(() => platform.dispose());

  const put = (body: unknown, headers: Record<string, string> = ZIP, id = functionId): Promise<Answer> =>
    platform.call('PUT', `/functions/${id}/code`, { body, headers });
  const refusedWith = async (answer: Answer, wanted: RegExp) => {
    expect({ status: answer.status, type: answer.headers.get('content-type'), code: answer.json?.code }).toEqual({
      status: 422,
      type: 'application/problem+json',
      code: 'FNS_422_INVALID',
    });
    expect(answer.text).toMatch(wanted);
    expect((await platform.ok('GET', `/functions/${functionId}`)).codeSha256).toBe(digest);
    expect((await platform.sync(functionId, null)).json.result).toBe('good');
  };

  it.each<[string, Entry[], RegExp]>([
    ['with a way out of the folder', [good, { name: '../../../../tmp/fns-evil.js' }], /fns-evil.*leads out/],
    ['with an absolute path', [good, { name: '/tmp/fns-evil.js' }], /absolute/],
    ['with a link', [good, { name: 'link', text: '/etc/passwd', mode: 0o120777 }], /is a link/],
    ['with a link and a file through it', [good, { name: 'd', text: '/tmp', mode: 0o120777 }, { name: 'd/fns-evil.js' }], /link|folder/],
    ['that is empty', [], /no file/],
    ['with folders only', [{ name: 'a/', text: '', mode: 0o040755 }], /no file/],
    ['of a million names', Array.from({ length: 30_000 }, (_, n) => ({ name: `${n}`, text: '' })), /30000 entries/],
  ])('in an archive %s is refused with the reason', async (_what, entries, wanted) => {
    await refusedWith(await put(zip(entries)), wanted);
    expect(existsSync('/tmp/fns-evil.js')).toBe(false);
  });

  it('in a bomb of 40 times 100 MB costs little memory, and nobody waits for it', async () => {
    const text = Buffer.alloc(100 * MB);
    const bomb = zip([good, ...Array.from({ length: 40 }, (_, n) => ({ name: `b${n}`, text, deflate: true, size: n }))]);
    const bystander = await Bystander.of(platform);
    const grownMb = memoryGrowth(platform.child?.pid as number);
    await refusedWith(await bystander.notices(() => put(bomb)), /too large/);
    // The 250 MB that an archive may unpack to, and the library's own.
    expect(grownMb()).toBeLessThan(450);
  });

  it('in what is no archive, or one that is cut off, is refused', async () => {
    await refusedWith(await put(Buffer.from('no zip at all')), /no zip archive/);
    await refusedWith(await put(zip([good]).subarray(0, 60)), /no zip archive/);
    await refusedWith(await put(Buffer.alloc(0)), /./);
  });

  it('over the size limit is refused with 413, and its sender reads the answer', async () => {
    const answer = await put(Buffer.alloc(70 * MB));
    expect([answer.status, answer.json?.code]).toEqual([413, 'FNS_413_PAYLOAD_TOO_LARGE']);
  });

  it.each([
    ['JavaScript', 'nodejs20', { 'index.js': 'exports.handler = async () => {\n  const a = ;\n};' }, /index\.js.*2/],
    ['an ES module', 'nodejs20', { 'index.mjs': 'export const handler = async () => {\n\n  return (;\n};' }, /index\.mjs.*3/],
    ['Python', 'python3.11', { 'index.py': 'def handler(event, context):\n    return (\n' }, /index\.py.*2/],
  ])('with a syntax error in %s is refused at deploy with file and line', async (_language, runtime, files, wanted) => {
    const made = await platform.call('POST', '/functions', { body: { name: 'syntax-error', runtime, code: { files } } });
    expect([made.status, made.json?.code]).toEqual([422, 'FNS_422_INVALID']);
    expect(made.json.errors[0].message).toMatch(wanted);
    expect((await platform.ok('GET', '/functions?name=syntax-error')).items).toEqual([]);
    if (runtime === 'nodejs20') await refusedWith(await put({ files }, {}), wanted);
  });

  it('whose handler has no file is refused at deploy; one that the file does not export fails each call, by name', async () => {
    const noFile = await platform.call('POST', '/functions', {
      body: { name: 'no-file', runtime: 'nodejs20', handler: 'main.run', code: { files: { 'index.js': '' } } },
    });
    expect([noFile.status, noFile.json?.errors?.[0]?.message]).toEqual([422, expect.stringMatching(/main/)]);
    const made = await platform.function('exports.other = 1;');
    const { status, headers, json } = await platform.sync(made.functionId, null);
    expect([status, headers.get('x-fns-function-error'), json.status, json.error.type, json.billedMs]).toEqual([
      200,
      'Unhandled',
      'FAILED',
      'Runtime.HandlerNotFound',
      0,
    ]);
    expect(json.error.message).toContain('index.handler');
  });

  it('that was refused leaves nothing half written', () => {
    const left = readdirSync(join(platform.dataDir, 'code')).filter((name) => !/^[0-9a-f]{64}$/.test(name));
    expect(left).toEqual([]);
  });
});
