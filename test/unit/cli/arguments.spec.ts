import fc from 'fast-check';
import { jsonText, timeArgument, whole } from '../../../lib/cli/arguments.js';
import { wordsOf } from '../../../lib/cli/commands/completion.js';
import { eventsOf } from '../../../lib/cli/log-lines.js';
import { bytesText, printable, table } from '../../../lib/cli/output.js';
import { fnsProgram } from '../../../lib/cli/program.js';
import { closest } from '../../../lib/cli/project/closest.js';
import { ignorePattern, inlined, zipped } from '../../../lib/cli/project/files.js';

describe('arguments', () => {
  const now = () => Date.parse('2026-03-01T12:00:00Z');

  it.each([
    ['10m', '2026-03-01T11:50:00.000Z'],
    ['3d', '2026-02-26T12:00:00.000Z'],
    ['2026-01-31', '2026-01-31T00:00:00.000Z'],
    ['2026-01-31T12:00:00+01:00', '2026-01-31T11:00:00.000Z'],
  ])('the time %s is %s', (text, time) => expect(timeArgument(now)(text)).toBe(time));

  it.each(['yesterday', '', '10x'])('%j is no time', (text) => expect(() => timeArgument(now)(text)).toThrow(/is needed/));
  it.each(['-1', '1.5', 'x', '', '1e3', '0'])('%j is no whole number from 1 on', (text) =>
    expect(() => whole(1)(text)).toThrow(/whole number/),
  );

  it('a payload is sent as it was written, and a bare word gets a hint', () => {
    expect(jsonText('{ "a": 1.0 }', 'x')).toBe('{ "a": 1.0 }');
    expect(() => jsonText('hello', 'The payload')).toThrow(
      expect.objectContaining({ exitCode: 2, hint: `A text is given as JSON, with quotes: '"hello"'.` }),
    );
  });

  it('the word that was meant is the nearest one, or none', () => {
    expect(closest('memory', ['memoryMb', 'timeoutSec'])).toBe('memoryMb');
    expect(closest('xyz', ['memoryMb', 'timeoutSec'])).toBeUndefined();
  });
});

describe('output', () => {
  it('lines columns up', () => {
    expect(
      table(
        [
          { a: 'x', b: 10 },
          { a: 'long', b: 7 },
        ],
        [
          ['A', (r) => r.a],
          ['B', (r) => r.b, 'right'],
        ],
        'none',
      )
        .split('\n')
        .slice(1),
    ).toEqual(['x     10', 'long   7']);
  });

  it('lets no control sign of a function reach the terminal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is what is tested
        expect(printable(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
    );
    expect(printable('a\tb\nc')).toBe('a\tb\nc');
  });

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KB'],
    [3 * 1024 ** 3, '3.0 GB'],
  ])('%d bytes are %s', (bytes, text) => expect(bytesText(bytes)).toBe(text));
});

describe('files', () => {
  it.each([
    ['*.log', 'a/b/x.log', true],
    ['*.log', 'x.logs', false],
    ['test', 'lib/test', true],
    ['test', 'testing', false],
    ['docs/*.md', 'docs/a.md', true],
    ['docs/*.md', 'docs/a/b.md', false],
    ['docs/**', 'docs/a/b.md', true],
    ['a+(b)', 'a+(b)', true],
  ])('the pattern %s on %s: %s', (pattern, path, hit) => expect(ignorePattern(pattern)?.test(path)).toBe(hit));

  it('comments and empty lines are no patterns', () => expect([ignorePattern('# x'), ignorePattern('  ')]).toEqual([undefined, undefined]));

  it('the same files make the same archive', () => {
    const files = { 'index.js': new TextEncoder().encode('exports.handler = () => 1'), 'a/b.txt': new Uint8Array([0, 255]) };
    expect(zipped(files)).toEqual(zipped(files));
  });

  it('small text goes inline; bytes that are no UTF-8 do not', () => {
    expect(inlined({ 'a.js': new TextEncoder().encode('\ufeffü') })).toEqual({ 'a.js': '\ufeffü' });
    expect(inlined({ 'a.png': new Uint8Array([0xff, 0xfe]) })).toBeUndefined();
    expect(inlined({ 'a.js': new Uint8Array(300_000) })).toBeUndefined();
  });
});

describe('server-sent events', () => {
  it('are read whole however the bytes are cut', async () => {
    const line = { time: 't', stream: 'stdout', requestId: 'r', version: '1', message: 'ünï\n🙂' };
    const bytes = new TextEncoder().encode(
      `: following\n\ndata: ${JSON.stringify(line)}\n\n: still here\n\ndata: ${JSON.stringify(line)}\n\n`,
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), async (size) => {
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.slice(at * size, (at + 1) * size));
        const body = new ReadableStream({
          start: (controller) => {
            for (const chunk of chunks) controller.enqueue(chunk);
            controller.close();
          },
        });
        const got = [];
        for await (const each of eventsOf(new Response(body))) got.push(each);
        expect(got).toEqual([line, line]);
      }),
    );
  });
});

describe('the program', () => {
  const words = wordsOf(fnsProgram('0.0.0'));

  it('has every command of the specification', () => {
    const top = words[0]?.words.map(({ word }) => word);
    expect(top).toEqual(
      expect.arrayContaining([
        'init',
        'dev',
        'deploy',
        'invoke',
        'logs',
        'ls',
        'publish',
        'trigger',
        'queue',
        'dlq',
        'usage',
        'invoice',
        'tenant',
        'key',
        'quota',
        'doctor',
        'completion',
      ]),
    );
  });

  it('prints JSON on request, whatever the command', () => {
    const leaves = words.filter(({ after }) => after !== '' && !words.some((other) => other.after.startsWith(`${after} `)));
    const silent = leaves
      .filter(({ after, words: own }) => after !== 'completion' && !own.some(({ word }) => word === '--json'))
      .map(({ after }) => after);
    expect(silent).toEqual([]);
  });
});
