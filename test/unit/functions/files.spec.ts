import { isAbsolute, join, relative, win32 } from 'node:path';
import fc from 'fast-check';
import { collision, inlineFiles, pathFault } from '../../../lib/core/functions/files.js';

describe('the paths of a function’s files', () => {
  it.each(['index.js', 'lib/a.js', '.env', 'a b/ü.js', '__proto__', 'x..y/z', '...'])('takes %s', (path) =>
    expect(pathFault(path)).toBeUndefined(),
  );

  it.each([
    '',
    '/etc/passwd',
    '../x',
    'a/../../x',
    'a/..',
    '..',
    '.',
    './a',
    'a//b',
    'a/',
    'a\\b',
    '..\\x',
    'C:x',
    'c:/x',
    'a\0b',
    'a\nb',
    '\ud800',
    'x'.repeat(256),
    `${'a/'.repeat(33)}b`,
    'x/'.repeat(300),
  ])('refuses %j', (path) => expect(pathFault(path)).toEqual(expect.any(String)));

  it('never takes a path that leaves its folder, on any system', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('..', '.', '/', '\\', 'a', 'C:', '', ' ', '\0', '…'), { maxLength: 8 }), (parts) => {
        const path = parts.join('');
        if (pathFault(path) !== undefined) return;
        expect(isAbsolute(path) || win32.isAbsolute(path)).toBe(false);
        for (const system of [{ join, relative }, win32])
          expect(system.relative('root', system.join('root', path))).not.toMatch(/^\.\.([/\\]|$)/);
      }),
      { numRuns: 5000 },
    );
  });

  it('finds what cannot stand side by side', () => {
    expect(collision(['a', 'b', 'a/b'])).toBe('a/b');
    expect(collision(['a', 'a'])).toBe('a');
    expect(collision(['a/b', 'a/c', 'ab'])).toBeUndefined();
  });

  it('names each inline file that is refused', () => {
    expect(() => inlineFiles({ 'index.js': '', '../evil.js': '', '/abs': '' })).toThrow(/"\.\.\/evil\.js".*"\/abs"/);
    expect(inlineFiles({ 'index.js': 'ü' }).get('index.js')).toEqual(new Uint8Array([0xc3, 0xbc]));
  });
});
