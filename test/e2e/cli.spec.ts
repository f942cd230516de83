import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fnsOn, startFns } from './fns.js';
import { ADMIN_KEY, freePort, Platform, until } from './platform.js';

describe('fns, against a real platform', () => {
  const platform = new Platform();
  const folder = mkdtempSync(join(tmpdir(), 'fns-cli-e2e-'));
  const fns = fnsOn(platform, folder);
  beforeAll(() => platform.start());
  afterAll(async () => {
    await platform.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A project of its own. */
  function project(name: string, yaml: string, files: Record<string, string>) {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'fns.yaml'), yaml);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
    return { path, fns: fnsOn(platform, path) };
  }

  it('goes from nothing to a called function: init, deploy, invoke, logs', async () => {
    expect(await fns(['init', 'first'])).toMatchObject({ code: 0 });
    const inside = fnsOn(platform, join(folder, 'first'));
    const deployed = await inside(['deploy', '--json']);
    expect(deployed.json.functions).toEqual([
      expect.objectContaining({ name: 'first', action: 'created', version: 1, triggers: [expect.objectContaining({ action: 'created' })] }),
    ]);
    const called = await inside(['invoke', 'first', '{"name":"Ada"}']);
    expect([called.code, JSON.parse(called.stdout).message]).toEqual([0, 'Hello, Ada!']);
    expect(called.stderr).toMatch(/^SUCCEEDED .* ms, billed \d+ ms, cold start, version \$LATEST, req_/);
    expect((await inside(['logs', 'first'])).stdout).toMatch(/greeting Ada/);
    const { stdout } = await inside(['logs', 'first', '--json', '--grep', 'Ada', '-n', '1']);
    expect(JSON.parse(stdout)).toMatchObject({ message: 'greeting Ada', stream: 'stdout' });
  });

  it('init overwrites nothing, and knows its templates', async () => {
    expect(await fns(['init', 'taken', '-t', 'cron'])).toMatchObject({ code: 0 });
    expect(await fns(['init', 'taken'])).toMatchObject({ code: 2, stderr: expect.stringContaining('is there already') });
    expect(await fns(['init', 'other', '-t', 'pyton'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("Did you mean 'python'?"),
    });
  });

  it('a second deploy keeps what is the same, changes what changed, and removes what is gone', async () => {
    const yaml = (triggers: string) => `functions:\n  routes:\n    runtime: nodejs20\n    triggers:\n${triggers}`;
    const p = project('routes', yaml('      - {type: http, path: /a, cors: true}\n      - {type: http, path: /b}\n'), {
      'index.js': 'exports.handler = async () => 1;',
    });
    const actions = async () => {
      const { json } = await p.fns(['deploy', '--json']);
      return json.functions[0].triggers
        .map((each: { action: string; trigger: { path?: string } }) => `${each.action} ${each.trigger.path}`)
        .sort();
    };
    expect(await actions()).toEqual(['created /a', 'created /b']);
    expect(await actions()).toEqual(['kept /a', 'kept /b']);
    writeFileSync(join(p.path, 'fns.yaml'), yaml('      - {type: http, path: /a, auth: none}\n'));
    expect(await actions()).toEqual(['changed /a', 'removed /b']);
    expect((await p.fns(['trigger', 'ls', 'routes', '--json'])).json).toEqual([expect.objectContaining({ path: '/a', auth: 'none' })]);
    writeFileSync(join(p.path, 'fns.yaml'), yaml('      - {type: http, path: /a}\n'));
    expect(await actions()).toEqual(['changed /a']);
    const [trigger] = (await p.fns(['trigger', 'ls', 'routes', '--json'])).json;
    expect([trigger.auth, trigger.cors]).toEqual(['key', undefined]);
  });

  it('--draft publishes no version; the same code again is the same version', async () => {
    const p = project('drafts', 'functions:\n  drafts:\n    runtime: nodejs20\n', { 'index.js': 'exports.handler = async () => 1;' });
    expect((await p.fns(['deploy', '--draft', '--json'])).json.functions[0].version).toBeUndefined();
    expect((await p.fns(['deploy', '--json'])).json.functions[0].version).toBe(1);
    expect((await p.fns(['deploy', '--json'])).json.functions[0].version).toBe(1);
    writeFileSync(join(p.path, 'index.js'), 'exports.handler = async () => 2;');
    expect((await p.fns(['publish', 'drafts', '--json'])).json.version).toBe(1);
    expect((await p.fns(['deploy', '--json'])).json.functions[0].version).toBe(2);
    expect((await p.fns(['invoke', 'drafts', '--qualifier', '1'])).stdout.trim()).toBe('1');
    expect((await p.fns(['versions', 'drafts', '--json'])).json.map((each: { version: number }) => each.version)).toEqual([1, 2]);
  });

  it('uploads files that are no text, too, and leaves out what .fnsignore names', async () => {
    const p = project('binary', 'functions:\n  binary:\n    runtime: nodejs20\n', {
      'index.js':
        "const { readFileSync, readdirSync } = require('node:fs');\nexports.handler = async () => [readFileSync(__dirname + '/blob.bin').toString('hex'), readdirSync(__dirname).filter((f) => /log|env|yaml/.test(f))];",
      '.fnsignore': '*.log\n',
      'noise.log': 'x',
      '.env': 'SECRET=x',
    });
    writeFileSync(join(p.path, 'blob.bin'), Buffer.from([0xff, 0x00, 0xfe]));
    expect(await p.fns(['deploy'])).toMatchObject({ code: 0 });
    expect(JSON.parse((await p.fns(['invoke', 'binary'])).stdout)).toEqual(['ff00fe', []]);
  });

  it('tells mistakes of fns.yaml with their line, and of code with file and line; nothing is changed then', async () => {
    const p = project('wrong', 'functions:\n  wrong:\n    runtime: nodejs20\n    memory: 1\n', { 'index.js': 'exports.handler = (' });
    const first = await p.fns(['deploy']);
    expect([first.code, first.stderr]).toEqual([
      2,
      expect.stringContaining("fns.yaml:4:5 'memory' is not known here; did you mean 'memoryMb'?"),
    ]);
    writeFileSync(join(p.path, 'fns.yaml'), 'functions:\n  wrong:\n    runtime: nodejs20\n');
    const second = await p.fns(['deploy']);
    expect([second.code, second.stderr]).toEqual([1, expect.stringMatching(/index\.js:\d+/)]);
    expect((await p.fns(['invoke', 'wrong'])).stderr).toContain("There is no function 'wrong'");
  });

  it('bundles TypeScript, and tells where it does not parse', async () => {
    const p = project('ts', 'functions:\n  ts:\n    runtime: nodejs20\n    bundle: main.ts\n', {
      'main.ts': 'export const handler = async (n: number): Promise<number> => n * 2;',
    });
    expect(await p.fns(['deploy'])).toMatchObject({ code: 0 });
    expect((await p.fns(['invoke', 'ts', '21'])).stdout.trim()).toBe('42');
    writeFileSync(join(p.path, 'main.ts'), 'export const = 1');
    expect(await p.fns(['deploy'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/main\.ts:1:\d+/) });
  });

  describe('invoke', () => {
    beforeAll(async () => {
      const p = project('calls', 'functions:\n  calls:\n    runtime: nodejs20\n    retry: {maxRetries: 0}\n', {
        'index.js':
          "exports.handler = async (e) => { if (e?.fail) throw new TypeError('no good'); return { got: e, at: Math.random() }; };",
      });
      expect((await p.fns(['deploy'])).stderr).toContain('calls created');
    });

    it('takes the payload from an argument, a file or standard input, and {} by default', async () => {
      writeFileSync(join(folder, 'payload.json'), '{"from":"file"}');
      const got = async (args: string[], input?: string) => JSON.parse((await fns(['invoke', 'calls', ...args], input)).stdout).got;
      expect(await got(['[1]'])).toEqual([1]);
      expect(await got(['--file', 'payload.json'])).toEqual({ from: 'file' });
      expect(await got(['-'], '{"from":"stdin"}')).toEqual({ from: 'stdin' });
      expect(await got([])).toEqual({});
    });

    it('ends with 1 where the function failed, with the error on stderr and nothing on stdout', async () => {
      const ended = await fns(['invoke', 'calls', '{"fail":true}']);
      expect(ended).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toMatch(/FAILED[\s\S]*TypeError: no good[\s\S]*index\.js:1/);
      expect(ended.stderr.match(/no good/g)).toHaveLength(1);
    });

    it('gives the first answer again under the same key, and refuses another payload under it', async () => {
      const first = await fns(['invoke', 'calls', '1', '--key', 'k1', '--json']);
      const again = await fns(['invoke', 'calls', '1', '--key', 'k1', '--json']);
      expect(again.json).toEqual(first.json);
      expect(await fns(['invoke', 'calls', '2', '--key', 'k1'])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('FNS_409_DUP_REQ'),
      });
    });

    it('--async prints the request id, --wait its end', async () => {
      expect((await fns(['invoke', 'calls', '--async'])).stdout.trim()).toMatch(/^req_/);
      expect((await fns(['invoke', 'calls', '7', '--async', '--wait', '--json'])).json).toMatchObject({
        state: 'SUCCEEDED',
        result: { got: 7 },
      });
      expect(await fns(['invoke', 'calls', '{"fail":true}', '--async', '--wait'])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('DEAD'),
      });
    });

    it('dead letters are listed, and replayed after a fix they heal', async () => {
      const dead = (await fns(['dlq', 'ls', 'calls', '--json'])).json;
      expect(dead).toEqual([expect.objectContaining({ reason: 'max_retries', attempts: 1 })]);
      expect(await fns(['dlq', 'replay', 'calls'])).toMatchObject({ code: 2 });
      expect(await fns(['dlq', 'replay', 'calls', '--all'])).toMatchObject({ code: 1, stdout: expect.stringContaining('1 dead again') });
      writeFileSync(join(folder, 'calls', 'index.js'), 'exports.handler = async () => 1;');
      await fnsOn(platform, join(folder, 'calls'))(['deploy']);
      expect(await fns(['dlq', 'replay', 'calls', dead[0].requestId])).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('1 healed'),
      });
      expect((await fns(['dlq', 'ls', 'calls'])).stdout).toContain('No dead letters');
    });

    it.each([
      [['invoke', 'call'], 1, "Did you mean 'calls'?"],
      [['invoke', 'calls', 'hello'], 2, `'"hello"'`],
      [['invoke', 'calls', '--wait'], 2, '--async'],
      [['invoke'], 2, 'missing required argument'],
      [['invok', 'calls'], 2, 'Did you mean invoke?'],
      [['logs', 'calls', '--from', 'yesterday'], 2, 'is needed'],
      [['ls', '--api-key', 'fns_wrong'], 4, 'The key came from --api-key'],
      [['ls', '--url', 'http://127.0.0.1:1'], 3, 'npm start'],
    ])('%j ends with %d and says what to do', async (args, code, hint) => {
      expect(await fns(args as string[])).toMatchObject({ code, stderr: expect.stringContaining(hint as string) });
    });
  });

  it('--json tells errors as JSON, too', async () => {
    const { code, stderr } = await fns(['ls', '--namespace', 'a b', '--json']);
    expect([code, JSON.parse(stderr).error.code]).toEqual([1, 'FNS_422_INVALID']);
  });

  it('logs --follow prints new lines until Ctrl-C', async () => {
    const p = project('talks', 'functions:\n  talks:\n    runtime: nodejs20\n', {
      'index.js': 'exports.handler = async (e) => { console.log("said", e); };',
    });
    await p.fns(['deploy']);
    await p.fns(['invoke', 'talks', '"before"']);
    const following = startFns(['logs', 'talks', '--follow'], { cwd: folder, env: { FNS_URL: platform.url, FNS_API_KEY: ADMIN_KEY } });
    // The stream may open a moment after the command started: calls go on until one is seen.
    await until('a new line is seen', async () => {
      await p.fns(['invoke', 'talks', '"after"']);
      return following.stdout().includes('said after');
    });
    expect(following.stdout()).not.toContain('before');
    following.interrupt();
    expect((await following.ended).code).toBe(0);
  });

  it('queue send takes bodies and lines', async () => {
    const p = project('work', 'functions:\n  work:\n    runtime: nodejs20\n    triggers: [{type: queue, queue: cli-work}]\n', {
      'index.js': 'exports.handler = async (e) => { for (const r of e.Records) console.log("got", r.body); };',
    });
    await p.fns(['deploy']);
    expect((await p.fns(['queue', 'send', 'cli-work', 'one', 'two', '--json'])).json).toEqual({ queue: 'cli-work', sent: 2 });
    expect((await p.fns(['queue', 'ls'])).stdout).toMatch(/cli-work +\d+ +\d+ +\d+ s/);
    expect(await p.fns(['queue', 'send', 'cli-work', '--lines', '-'], 'three\nfour\n')).toMatchObject({ code: 0 });
    await until('all four are handled', async () => (await p.fns(['logs', 'work', '--grep', 'got '])).stdout.split('\n').length > 4);
  });

  it('triggers are added and removed by hand', async () => {
    const added = await fns([
      'trigger',
      'add',
      'calls',
      'cron',
      '--schedule',
      '0 3 * * *',
      '--timezone',
      'Asia/Shanghai',
      '--input',
      '{"a":1}',
      '--json',
    ]);
    expect(added.json).toMatchObject({
      type: 'cron',
      input: { a: 1 },
      nextRuns: [expect.any(String), expect.any(String), expect.any(String)],
    });
    expect(await fns(['trigger', 'add', 'calls', 'http'])).toMatchObject({ code: 2, stderr: expect.stringContaining('needs a path') });
    expect(await fns(['trigger', 'add', 'calls', 'mqtt'])).toMatchObject({ code: 2 });
    expect(await fns(['trigger', 'rm', 'calls', added.json.triggerId])).toMatchObject({ code: 0 });
    for (const [type, what, field] of [
      ['http', '/by-hand', 'path'],
      ['cron', '*/5 * * * *', 'schedule'],
      ['queue', 'by-hand', 'queue'],
    ]) {
      const { json } = await fns(['trigger', 'add', 'calls', type as string, what as string, '--json']);
      expect(json).toMatchObject({ type, [field as string]: what });
      await fns(['trigger', 'rm', 'calls', json.triggerId]);
    }
  });

  it('usage and invoice agree, as tables, JSON, CSV and PDF', async () => {
    const usage = (await fns(['usage', '--json'])).json;
    expect(usage.total.requests).toBeGreaterThan(0);
    expect((await fns(['usage'])).stdout).toMatch(/FUNCTION\s+REQUESTS[\s\S]*calls[\s\S]*total/);
    expect((await fns(['invoice', '--json'])).json).toMatchObject({ status: 'open', currency: usage.currency });
    expect((await fns(['invoice', '--csv', '-'])).stdout.trim().split('\n').length).toBeGreaterThan(1);
    expect(await fns(['invoice', '--pdf', 'bill.pdf'])).toMatchObject({ code: 0 });
    expect(readFileSync(join(folder, 'bill.pdf')).subarray(0, 5).toString()).toBe('%PDF-');
  });

  it('keys are made, used, rotated and taken away', async () => {
    const made = (await fns(['key', 'add', 'ci', '--role', 'viewer', '--json'])).json;
    expect(await fns(['ls', '--api-key', made.key])).toMatchObject({ code: 0 });
    expect(await fns(['invoke', 'calls', '--api-key', made.key])).toMatchObject({ code: 4 });
    const rotated = (await fns(['key', 'rotate', made.keyId, '--json'])).json;
    expect(await fns(['ls', '--api-key', made.key])).toMatchObject({ code: 4 });
    expect(await fns(['ls', '--api-key', rotated.key])).toMatchObject({ code: 0 });
    expect(await fns(['key', 'rm', rotated.keyId])).toMatchObject({ code: 0 });
    expect((await fns(['quota', 'get', '--json'])).json.concurrency).toBeGreaterThan(0);
  });

  it('doctor finds the platform, its runtimes and the key, and fails where no platform is', async () => {
    const { json } = await fns(['doctor', '--json']);
    expect(json.checks).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'platform', level: 'ok' }),
        expect.objectContaining({ name: 'key', level: 'ok' }),
      ]),
    );
    expect(json.checks.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['node', 'python', 'disk', 'data folder', 'sandbox', 'runtimes']),
    );
    expect(await fns(['doctor', '--url', 'http://127.0.0.1:1'])).toMatchObject({ code: 1, stdout: expect.stringContaining('npm start') });
  });

  it('completion prints a script for each shell', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) expect((await fns(['completion', shell])).stdout).toContain('invoke');
    expect(await fns(['completion', 'csh'])).toMatchObject({ code: 2 });
  });
});

describe('fns dev', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fns-dev-e2e-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('starts a platform where none runs, redeploys on change, shows logs, and takes all down on Ctrl-C', async () => {
    const port = await freePort();
    const env = { FNS_URL: `http://127.0.0.1:${port}`, FNS_API_KEY: '', FNS_DATA_DIR: join(folder, '.fns') };
    cpSync(join(__dirname, '..', '..', 'examples', 'hello-node'), folder, { recursive: true });
    const dev = startFns(['dev'], { cwd: folder, env });
    const invoke = () => startFns(['invoke', 'hello-node', '{"name":"Ada"}'], { cwd: folder, env }).ended;
    try {
      await until('it watches', async () => dev.stderr().includes('watching for changes'), 45_000);
      expect((await invoke()).stdout).toContain('Hello, Ada!');
      await until('the log is shown', async () => dev.stdout().includes('greeting Ada'));
      writeFileSync(join(folder, 'index.js'), 'exports.handler = (');
      await until('the mistake is told', async () => /index\.js:\d+/.test(dev.stderr()));
      writeFileSync(join(folder, 'index.js'), "exports.handler = async () => 'changed';");
      await until('the change is deployed', async () => (await invoke()).stdout.includes('changed'));
    } finally {
      dev.interrupt();
    }
    expect(await dev.ended).toMatchObject({ code: 0, stderr: expect.stringContaining('stopping the platform') });
    await expect(fetch(env.FNS_URL)).rejects.toThrow();
  });

  it('starts the platform whose key it found, so that data and key belong together', async () => {
    const port = await freePort();
    const kept = { url: `http://127.0.0.1:${port}`, key: 'fns_kept_from_an_earlier_start' };
    const project = join(folder, 'above', 'project');
    cpSync(join(__dirname, '..', '..', 'examples', 'hello-node'), project, { recursive: true });
    mkdirSync(join(folder, 'above', '.fns'));
    writeFileSync(join(folder, 'above', '.fns', 'credentials.json'), JSON.stringify(kept));
    const dev = startFns(['dev'], { cwd: project, env: { FNS_URL: '', FNS_API_KEY: '', FNS_DATA_DIR: '' } });
    try {
      await until('it watches', async () => dev.stderr().includes('watching for changes'), 45_000);
    } finally {
      dev.interrupt();
    }
    const { stderr } = await dev.ended;
    expect(stderr).toContain('hello-node created');
    expect(stderr).not.toContain('FNS_401');
    expect(existsSync(join(project, '.fns'))).toBe(false);
  });
});
