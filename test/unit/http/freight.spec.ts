import { EventEmitter } from 'node:events';
import { asTenantId } from '../../../lib/core/ids.js';
import { Freight } from '../../../lib/http/freight.js';

const ada = asTenantId('ada');
const bob = asTenantId('bob');

/** What Freight knows of an answer: whether it is out. */
class Answer extends EventEmitter {
  closed = false;
  timeoutMs = 0;
  setTimeout(ms: number): void {
    this.timeoutMs = ms;
  }
  out(): void {
    this.closed = true;
    this.emit('close');
  }
}

describe('freight', () => {
  let late: (() => void)[];
  let freight: Freight;
  beforeEach(() => {
    late = [];
    const after = (_ms: number, run: () => void) => {
      late.push(run);
      return () => {
        late = late.filter((each) => each !== run);
      };
    };
    freight = new Freight({ after }, { bytes: 100, tenantBytes: 60, waitMs: 1 });
  });
  /** How far a load has come. */
  const load = (tenant: typeof ada, bytes: number, answer = new Answer()) => {
    const one = { answer, state: 'waits' };
    freight.load(tenant, bytes, answer as never).then(
      () => {
        one.state = 'read';
      },
      (error) => {
        one.state = error.code ?? error.message;
      },
    );
    return one;
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('lets bodies in while there is room, then in the order in which they came, as answers go out', async () => {
    const [first, second, third] = [load(ada, 50), load(bob, 50), load(bob, 5)];
    await turn();
    expect([first.state, second.state, third.state]).toEqual(['read', 'read', 'waits']);
    first.answer.out();
    await turn();
    expect(third.state).toBe('read');
  });

  it('passes over a tenant that holds its share', async () => {
    const [, second, other] = [load(ada, 50), load(ada, 50), load(bob, 50)];
    await turn();
    expect([second.state, other.state]).toEqual(['waits', 'read']);
  });

  it('refuses what waited too long, and forgets it', async () => {
    const [first, second] = [load(ada, 60), load(ada, 60)];
    late.at(-1)?.();
    first.answer.out();
    const third = load(ada, 60);
    await turn();
    expect([second.state, third.state]).toEqual(['FNS_503_INVOKER_BUSY', 'read']);
    expect(late).toEqual([]);
  });

  it('forgets a client that went away while it waited', async () => {
    const [first, second] = [load(ada, 60), load(ada, 60)];
    second.answer.out();
    first.answer.out();
    const third = load(ada, 60);
    await turn();
    expect([second.state, third.state]).toEqual([expect.stringMatching(/closed/), 'read']);
  });

  it('counts large answers until they are out, and gives their readers a limit; small ones cost nothing', async () => {
    const large = new Answer();
    const small = new Answer();
    const wide = new Freight({ after: () => () => undefined }, { bytes: 1e6, tenantBytes: 1e6, waitMs: 1 });
    wide.answer(ada, 999_999, large as never);
    wide.answer(ada, 60_000, small as never);
    expect([large.timeoutMs, small.timeoutMs]).toEqual([60_000, 0]);
    let isRead = false;
    void wide.load(bob, 2, new Answer() as never).then(() => {
      isRead = true;
    });
    await turn();
    expect(isRead).toBe(false);
    large.out();
    await turn();
    expect(isRead).toBe(true);
  });
});
