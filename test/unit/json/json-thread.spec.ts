import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { DEFAULTS } from '../../../lib/core/defaults.js';
import { PlatformFault } from '../../../lib/core/refusal.js';
import { JsonThread } from '../../../lib/http/json/json-thread.js';

describe('large JSON in a thread of its own', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-json-'));
  const script = join(folder, 'json-thread.js');
  const threads: JsonThread[] = [];
  const open = (path = script): JsonThread => {
    const thread = new JsonThread(path);
    threads.push(thread);
    return thread;
  };

  beforeAll(async () => {
    await build({
      entryPoints: [join(__dirname, '../../../lib/http/fast-lane/json-thread.ts')],
      outfile: script,
      bundle: true,
      platform: 'node',
      format: 'cjs',
    });
  });
  afterAll(async () => {
    await Promise.all(threads.map((thread) => thread.close()));
    rmSync(folder, { recursive: true });
  });

  const large = (inner: string): string => JSON.stringify({ text: inner.repeat(Math.ceil((DEFAULTS.inlineJsonBytes + 1) / inner.length)) });

  it('answers small bodies at once and large ones from the thread, alike', async () => {
    const thread = open();
    expect(thread.envelope(Buffer.from('{"payload":{"a":1}}'))).toEqual({ kind: 'ok', payload: '{"a":1}' });
    for (const payload of [large('plain '), large('日本 😀 ')]) {
      const answer = thread.envelope(Buffer.from(`{"priority":"high","payload": ${payload} }`));
      expect(answer).toBeInstanceOf(Promise);
      expect(await answer).toEqual({ kind: 'ok', payload, priority: 'high' });
    }
    expect(await thread.envelope(Buffer.from(`{"payload":${large('x')},"evil":1}`))).toMatchObject({
      kind: 'invalid',
      errors: [{ field: 'evil' }],
    });
    expect(await thread.envelope(Buffer.from(`{"payload":${large('x')}`))).toMatchObject({ kind: 'badJson' });
    expect(await thread.envelope(Buffer.concat([Buffer.from(large('x')), Buffer.from([0xff])]))).toMatchObject({ kind: 'badJson' });
  });

  it('checks results of any size', async () => {
    const thread = open();
    expect(thread.isJson('{"a":[1,2]}')).toBe(true);
    expect(thread.isJson('{"a":[1,2}')).toBe(false);
    expect(await thread.isJson(large('x'))).toBe(true);
    expect(await thread.isJson(`${large('x')} trailing`)).toBe(false);
  });

  it('leaves the caller a buffer that is a part of a larger block', async () => {
    const body = Buffer.from(`{"payload":${large('y')}}`);
    const block = Buffer.concat([Buffer.from('before'), body, Buffer.from('after')]);
    expect(await open().envelope(block.subarray(6, 6 + body.length))).toMatchObject({ kind: 'ok' });
    expect(block.subarray(0, 6).toString() + block.subarray(-5).toString()).toBe('beforeafter');
  });

  it('keeps many questions apart', async () => {
    const thread = open();
    const texts = Array.from({ length: 20 }, (_, i) => large(`number ${i} `));
    const answers = await Promise.all(texts.map((text) => thread.envelope(Buffer.from(`{"payload":${text}}`))));
    expect(answers.map((answer) => answer.kind === 'ok' && answer.payload)).toEqual(texts);
  });

  it('is a platform fault for those who wait when the thread is lost, and starts again with the next question', async () => {
    const thread = open();
    const waiting = thread.isJson(large('z'));
    const seen = expect(waiting).rejects.toThrow(PlatformFault);
    await thread.close();
    await seen;
    expect(await thread.isJson(large('z'))).toBe(true);
    await expect(open(join(folder, 'not-there.js')).isJson(large('z'))).rejects.toThrow(PlatformFault);
  });

  it('does not hold up small bodies while it reads a large one', async () => {
    const thread = open();
    const six = `{"payload":${JSON.stringify(Array.from({ length: 300_000 }, (_, i) => `item ${i}`))}}`;
    const before = performance.now();
    const answer = thread.envelope(Buffer.from(six));
    expect(thread.envelope(Buffer.from('{"payload":1}'))).toEqual({ kind: 'ok', payload: '1' });
    const handedOverMs = performance.now() - before;
    expect(await answer).toMatchObject({ kind: 'ok' });
    expect(handedOverMs).toBeLessThan(performance.now() - before);
  });
});
