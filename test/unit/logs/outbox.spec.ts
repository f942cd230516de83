import { asFunctionId, asTenantId } from '../../../lib/core/ids.js';
import type { LogLine } from '../../../lib/core/logs/model.js';
import { IN_FLIGHT_CHARS, Outbox } from '../../../lib/embedded/logs/outbox.js';
import { type ToLogThread, unpackLines } from '../../../lib/embedded/logs/protocol.js';

type Append = ToLogThread & { kind: 'append' };

function outbox() {
  const timers: (() => void)[] = [];
  const sent: Append[] = [];
  const clock = {
    now: () => 0,
    monotonicMs: () => 0,
    after: (_: number, run: () => void) => {
      timers.push(run);
      return () => timers.splice(timers.indexOf(run), 1);
    },
  };
  return { timers, sent, box: new Outbox(clock, (message) => sent.push(message as Append)) };
}

const line = (message: string, tenantId = 'acme'): LogLine => ({
  ...{ tenantId: asTenantId(tenantId), functionId: asFunctionId('fn_one'), version: '1', requestId: '', timeMs: 5, stream: 'stdout' },
  message,
});

describe('log lines on their way to their thread', () => {
  it('go together: at once where there are many, else after a moment', () => {
    const { box, sent, timers } = outbox();
    box.add(line('one'));
    box.add(line('two'));
    expect([sent.length, timers.length]).toEqual([0, 1]);
    timers[0]?.();
    expect(sent.map(({ lines }) => unpackLines(lines))).toEqual([[line('one'), line('two')]]);
    for (let n = 0; n < 4; n += 1) box.add(line('x'.repeat(64 * 1024)));
    expect(sent).toHaveLength(2);
  });

  it('are dropped and counted where the thread does not keep up, which a line of the platform tells afterwards', () => {
    const { box, sent } = outbox();
    const message = 'x'.repeat(64 * 1024);
    for (let n = 0; n < 1_000; n += 1) box.add(line(message));
    box.flush();
    const chars = sent.reduce((sum, each) => sum + each.chars, 0);
    expect(chars).toBeLessThanOrEqual(IN_FLIGHT_CHARS);
    const kept = sent.flatMap(({ lines }) => unpackLines(lines)).length;
    expect(box.dropped).toBe(1_000 - kept);
    box.kept(chars, kept);
    box.flush();
    const [told] = unpackLines((sent.at(-1) as Append).lines);
    expect(told).toMatchObject({
      stream: 'platform',
      functionId: 'fn_one',
      message: expect.stringMatching(new RegExp(`^${1_000 - kept} lines`)),
    });
  });

  it('of one tenant who prints without end leave room for those of others, and for what the platform says', () => {
    const { box } = outbox();
    const message = 'x'.repeat(64 * 1024);
    for (let n = 0; n < 1_000; n += 1) box.add(line(message));
    const before = box.dropped;
    for (let n = 0; n < 50; n += 1) box.add(line(message, 'neighbour'));
    box.add({ ...line('9 bytes were dropped'), stream: 'platform' });
    expect([before > 0, box.dropped]).toEqual([true, before]);
  });

  it('are counted as lost with a thread that died', () => {
    const { box } = outbox();
    box.add(line('one'));
    box.flush();
    box.threadEnded();
    expect(box.dropped).toBe(1);
  });
});
