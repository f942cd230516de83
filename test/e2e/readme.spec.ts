import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, until } from './platform.js';

const ROOT = join(__dirname, '..', '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const BLOCKS = [...README.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text]) => text as string);

/** As Ctrl-C ends it, once it watches: the whole group of processes gets the signal. */
const UNTIL_IT_WATCHES = `
set -m
npx fns dev 2>dev.log &
until grep -q 'watching for changes' dev.log; do sleep 0.1; done
kill -INT -- -$!
wait $! || true
set +m
cat dev.log
`;

/** What the README shows is what a person pastes: its shell blocks run here as they stand, but for port and data folder. */
describe('the README', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'fns-readme-'));
  // Below the checkout, because the README says that `npx fns` works there.
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'dist', 'readme-'));
  let platform: ChildProcess;
  let url = '';
  let said = '';

  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const env = { ...process.env, FNS_PORT: String(port), FNS_DATA_DIR: dataDir, FNS_ADMIN_KEY: '' };
    platform = spawn('npm', ['start'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [platform.stdout, platform.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (said += text));
    await until('npm start is ready', async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok === true, 30_000);
  });
  afterAll(async () => {
    const ended = new Promise((resolve) => platform.once('close', resolve));
    platform.kill('SIGTERM');
    await ended;
    for (const each of [folder, dataDir]) rmSync(each, { recursive: true, force: true });
  });

  /** Pastes a block into a shell; all that it printed. */
  function paste(block: string): Promise<string> {
    const text = block
      .replaceAll('http://127.0.0.1:8787', url)
      .replaceAll('./.fns/credentials.json', join(dataDir, 'credentials.json'))
      .replace(/^npx fns dev.*$/m, UNTIL_IT_WATCHES);
    const env: NodeJS.ProcessEnv = { ...process.env, FNS_DATA_DIR: dataDir, NO_COLOR: '1' };
    // Jest runs under npm, which would tell the inner npx where it is.
    for (const name of Object.keys(env)) if (/^npm_|^INIT_CWD$/i.test(name)) delete env[name];
    const shell = spawn('bash', ['-eu', '-o', 'pipefail', '-c', text], { cwd: folder, env });
    let output = '';
    for (const stream of [shell.stdout, shell.stderr])
      stream.setEncoding('utf8').on('data', (part: string) => {
        output += part;
      });
    return new Promise((resolve, reject) => {
      shell.once('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`ended with ${code}:\n${text}\n${output}`))));
    });
  }

  it('has four blocks to paste, and each of them is run here', () => {
    expect(BLOCKS.map((block) => block.split(/\s+#|\n/)[0])).toEqual([
      'npm start',
      `npx fns invoke hello '{"name":"World"}'`,
      'npx fns init my-function',
      'API=http://127.0.0.1:8787/api/v1',
    ]);
  });

  it('names the two commands, and the first of them prints what to do next', async () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const commands = (BLOCKS[0] as string).match(/^npm \w+/gm)?.map((line) => line.slice(4));
    expect(commands).toEqual(['start', 'test']);
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(commands as string[]));
    await until('the greeting is there', async () => said.includes('Try it:'));
    const [, next] = said.split('Try it:\n') as [string, string];
    const [where, ...pasted] = next.trim().split('\n');
    expect(where).toBe(`export FNS_DATA_DIR=${dataDir}`);
    expect(await paste(pasted.join('\n'))).toMatch(/Hello, World![\s\S]*Hello, World![\s\S]*my-function created, version 1/);
    rmSync(join(folder, 'my-function'), { recursive: true });
  });

  it('calls the function that is there', async () => {
    expect(await paste(BLOCKS[1] as string)).toMatch(/Hello, World![\s\S]*Hello, World!/);
  });

  it('makes, deploys and calls a function, and redeploys it at every save', async () => {
    const printed = await paste(BLOCKS[2] as string);
    expect(printed).toMatch(/version 1[\s\S]*Hello, Ada![\s\S]*watching for changes/);
  });

  it('creates and calls one by REST, and the answer has the form that stands there', async () => {
    const block = BLOCKS[3] as string;
    const shown = /^# (\{.*\})$/m.exec(block)?.[1] as string;
    const form = shown
      .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('…', '\\w+')
      .replaceAll(/(?<=Ms":)[\d\\.]+/g, '[\\d.]+');
    const printed = await paste(block);
    expect(printed).toMatch(new RegExp(form));
    // Pasted again: the function is there, its refusal names the id, and the key gives the first answer.
    const requestOf = (text: string): string | undefined => /req_\w+/.exec(text)?.[0];
    expect(requestOf(await paste(block))).toBe(requestOf(printed));
  });

  it('links to what is there', () => {
    const links = [...README.matchAll(/\]\(([^)#]+)/g)].map(([, path]) => path as string).filter((path) => !path.includes('://'));
    expect(links.length).toBeGreaterThan(4);
    expect(links.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});
