import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { SlotCodePreparer } from '../../../lib/slots/prepare/preparer.js';
import { openSandbox, type Sandbox } from '../../../lib/slots/sandbox/sandbox.js';
import { DrivenSlot } from './driven-slot.js';

const root = resolve(__dirname, '../../..');

describe('code at deploy', () => {
  let dataDir: string;
  let sandbox: Sandbox;
  let preparer: SlotCodePreparer;
  let pythonRuntime: string;

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'fns-data-'));
    sandbox = await openSandbox({ dataDir });
    const interpreters = sandbox.found.runtimes.filter(({ works }) => works);
    pythonRuntime = interpreters.find(({ runtime }) => runtime.startsWith('python'))!.runtime;
    preparer = new SlotCodePreparer({
      interpreters,
      nodeChecker: join(root, 'dist/code-check.js'),
      pythonCompiler: join(root, 'runtimes/python/compile.py'),
    });
  });
  afterAll(async () => {
    await sandbox.launcher.close?.();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const node = `nodejs${process.versions.node.split('.')[0]}`;
  const put = (files: Record<string, string>): string => {
    const folder = join(mkdtempSync(join(dataDir, 'entry-')), 'code');
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return folder;
  };
  const check = (runtime: string, files: Record<string, string>, handler = 'index.handler') => preparer.check(runtime, handler, put(files));

  it.each([
    ['a script', 'index.js', 'const a = 1;\nexports.handler = async ( => {', 2],
    ['a module by its name', 'index.mjs', 'export const handler = async () => {\n\n  return }}', 3],
    ['a module by its syntax', 'index.js', 'export const handler = 1;\nlet a; let a;', 2],
    ['a .cjs file that is none', 'index.cjs', "\nimport x from 'x';", 2],
  ])('names file and line of a syntax error in %s', async (_, file, text, line) => {
    expect(await check(node, { [file]: text })).toEqual([{ file, line, message: expect.stringMatching(/^SyntaxError: /) }]);
  });

  it('names every file that is wrong, wherever it lies, but not what packages brought along', async () => {
    const faults = await check(node, { 'index.js': '', 'lib/a.js': '{', 'lib/b.mjs': '}', 'node_modules/x/template.js': '<%= no %>' });
    expect(faults.map(({ file }) => file)).toEqual(['lib/a.js', 'lib/b.mjs']);
  });

  it('takes what Node takes: modules, scripts, top-level await, return, a hashbang', async () => {
    const taken: Record<string, string>[] = [
      { 'index.js': "import { a } from './a.js';\nexport const handler = async () => a;" },
      { 'index.js': '#!/usr/bin/env node\nexports.handler = 1;\nreturn;' },
      { 'package.json': '{"type":"module"}', 'index.js': 'export const handler = await 1;' },
      { 'index.mjs': 'export const handler = await import("node:fs");' },
    ];
    for (const files of taken) expect(await check(node, files)).toEqual([]);
  });

  it.each([
    ['an open parenthesis', 'def handler(e, c):\n    return (\n', 2, /^SyntaxError: /],
    ['tabs among spaces', 'def handler(e, c):\n  return 1\n\tx\n', 3, /^TabError: /],
    ['an unknown encoding', '# -*- coding: klingon -*-\n', 1, /^SyntaxError: /],
  ])('names file and line of Python with %s', async (_, text, line, message) => {
    expect(await check(pythonRuntime, { 'index.py': text })).toEqual([{ file: 'index.py', line, message: expect.stringMatching(message) }]);
  });

  it('says which file the handler needs and what is there instead', async () => {
    const [fault] = await check(node, { 'app.js': '', 'lib/x.js': '' });
    expect(`${fault!.file}: ${fault!.message}`).toBe(
      "index.js: the handler 'index.handler' needs this file (index.js, index.mjs, index.cjs); the code has app.js, lib/",
    );
    expect((await check(pythonRuntime, { 'app.py': '' }))[0]!.message).toContain('index.py or index/__init__.py');
    expect((await check(node, { 'index.js': '' }, '../index.handler'))[0]!.message).toContain('is not of the form');
  });

  it('runs none of the code, and ends what would take the parser for ever', async () => {
    const mark = join(dataDir, 'ran');
    expect(await check(node, { 'index.js': `require('fs').writeFileSync(${JSON.stringify(mark)}, ''); process.exit(1)` })).toEqual([]);
    expect(await check(pythonRuntime, { 'index.py': `open(${JSON.stringify(mark)}, 'w')\nraise SystemExit(1)` })).toEqual([]);
    expect(readdirSync(dataDir)).not.toContain('ran');
    expect((await check(node, { 'index.js': '('.repeat(1_000_000) })).length).toBe(1);
    expect((await check(pythonRuntime, { 'index.py': '('.repeat(1_000_000) })).length).toBe(1);
  });

  it('gives slots the bytecode of Python that was compiled at deploy', async () => {
    const files = {
      'index.py': 'from lib import helper\ndef handler(e, c):\n    return [__cached__, helper.__cached__]',
      'lib/helper.py': '',
    };
    const folder = put(files);
    expect(await preparer.check(pythonRuntime, 'index.handler', folder)).toEqual([]);
    const cache = preparer.cacheFor(pythonRuntime, folder)!;
    const interpreter = sandbox.found.runtimes.find(({ runtime }) => runtime === pythonRuntime)!.path;
    const slot = await DrivenSlot.start(sandbox.launcher, { kind: 'python', interpreter, files, dataDir, cache });
    const cached = (await slot.call(0)).result as string[];
    expect(readdirSync(cache, { recursive: true }).map((name) => String(name).split('/').at(-1))).toEqual(
      expect.arrayContaining(cached.map((path) => path.split('/').at(-1))),
    );
    await slot.end();
  });

  it('gives slots what V8 compiled of large files, and it is used', async () => {
    const body = Array.from({ length: 6000 }, (_, n) => `function f${n}(a) { return a + ${n}; }`).join('\n');
    const files = { 'index.js': `${body}\nexports.handler = async () => f5999(1);` };
    const folder = put(files);
    expect(await preparer.check(node, 'index.handler', folder)).toEqual([]);
    const cache = preparer.cacheFor(node, folder)!;
    expect(readdirSync(cache)).toEqual(['index.js.v8']);
    const slot = await DrivenSlot.start(sandbox.launcher, { kind: 'node', interpreter: process.execPath, files, dataDir, cache });
    expect((await slot.call(0)).result).toBe(6000);
    await slot.end();
  });
});
