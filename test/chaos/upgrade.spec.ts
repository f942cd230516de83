import { Agent, request } from 'node:http';
import { ADMIN_KEY, until } from '../e2e/platform.js';
import { Machine } from './machine.js';

const SWAPS = 6;
const RESTARTS = 3;
const CALLERS = 12;
/** Answers between one event and the next, so that there is load at each, however slow the machine. */
const ANSWERS = 60;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const code = (version: number): string =>
  `exports.handler = async (event) => { await new Promise((resolve) => setTimeout(resolve, event.ms)); return ${version}; };`;

interface Told {
  status: number;
  text: string;
}

interface Count {
  answered: number;
  /** No connection was made: nobody listened just then. */
  refused: number;
  /** Answered 503: the platform drains. */
  draining: number;
  /** A request that was under way and got no answer. */
  cut: string[];
  /** Answers that no caller should see. */
  wrong: string[];
}

/** Callers behind something that tries again where nobody listens or a 503 says so, as a load balancer or an SDK does. */
class Callers {
  readonly count: Count = { answered: 0, refused: 0, draining: 0, cut: [], wrong: [] };
  /** The last version whose upload was acknowledged: calls that begin now must see it or a later one. */
  deployed = 1;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
  private stopped = false;
  private running: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly machine: Machine,
    private readonly functionId: string,
  ) {}

  start(): void {
    this.running = Promise.all(Array.from({ length: CALLERS }, (_, n) => this.caller(n)));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
    this.agent.destroy();
  }

  /** Waits for so many answers more. */
  async answer(more: number): Promise<void> {
    const wanted = this.count.answered + more;
    await until(`${more} answers more`, async () => this.count.answered >= wanted, 30_000);
  }

  private async caller(n: number): Promise<void> {
    for (let call = 0; !this.stopped; call += 1) await this.insist((n * 7 + call) % 40);
  }

  private async insist(ms: number): Promise<void> {
    for (;;) {
      const least = this.deployed;
      const told = await this.once(ms);
      if (told?.status === 200) return this.check(told, least);
      if (told?.status === 503) this.count.draining += 1;
      else if (told) return void this.count.wrong.push(`${told.status} ${told.text.slice(0, 300)}`);
      if (this.stopped) return;
      await pause(50);
    }
  }

  private check({ text }: Told, least: number): void {
    this.count.answered += 1;
    const { status, result } = JSON.parse(text) as { status: string; result: number };
    if (status !== 'SUCCEEDED') this.count.wrong.push(text.slice(0, 300));
    else if (result < least) this.count.wrong.push(`version ${result} answered a call that began after version ${least} was deployed`);
  }

  /** Undefined: no connection. */
  private once(ms: number): Promise<Told | undefined> {
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
      const url = `${this.machine.url}/api/v1/functions/${this.functionId}/invoke?mode=sync`;
      const sent = request(url, { method: 'POST', agent: this.agent, headers }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
        answer.on('error', (error) => this.lost(error, sent.reusedSocket, resolve));
      });
      sent.on('error', (error) => this.lost(error, sent.reusedSocket, resolve));
      sent.end(JSON.stringify({ payload: { ms } }));
    });
  }

  private lost(error: NodeJS.ErrnoException, reused: boolean, resolve: (told: undefined) => void): void {
    if (error.code === 'ECONNREFUSED') this.count.refused += 1;
    else this.count.cut.push(`${error.code} ${error.message}${reused ? ' on a connection kept alive' : ''}`);
    resolve(undefined);
  }
}

describe('an upgrade under load', () => {
  it('swaps code and restarts without cutting a request that was under way', async () => {
    const machine = new Machine();
    let callers: Callers | undefined;
    await machine.start();
    try {
      const { functionId } = await machine.function(code(1), { timeoutSec: 10 });
      callers = new Callers(machine, functionId);
      callers.start();
      for (let version = 2; version <= SWAPS + 1; version += 1) {
        await callers.answer(ANSWERS);
        await machine.ok('PUT', `/functions/${functionId}/code`, { files: { 'index.js': code(version) } });
        callers.deployed = version;
      }
      const exits: (number | null)[] = [];
      for (let restart = 0; restart < RESTARTS; restart += 1) {
        await callers.answer(ANSWERS);
        exits.push(await machine.stop());
        await machine.start();
      }
      await callers.answer(ANSWERS);
      await callers.stop();
      const { cut, wrong, ...seen } = callers.count;
      process.stdout.write(`  ${JSON.stringify({ ...seen, cut: cut.length })}\n`);
      expect({ cut: [...new Set(cut)], wrong: [...new Set(wrong)].slice(0, 5), exits }).toEqual({
        cut: [],
        wrong: [],
        exits: exits.map(() => 0),
      });
      expect(seen.answered).toBeGreaterThanOrEqual(ANSWERS * (SWAPS + RESTARTS + 1));
      expect(seen.refused + seen.draining).toBeGreaterThan(0);
    } finally {
      await callers?.stop();
      await machine.dispose();
    }
  }, 100_000);
});
