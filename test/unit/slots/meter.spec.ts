import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { meterLine, parseMeterLines } from '../../../lib/core/metering/meter-line';
import type { MeterEntry } from '../../../lib/core/metering/model';
import { Leftovers } from '../../../lib/slots/leftovers';
import { AttemptMeter } from '../../../lib/slots/meter';

const entry = (n: number, endedAt = Date.parse('2026-11-20T22:10:00Z')): MeterEntry =>
  ({
    requestId: `req_${n}`,
    attempt: 1,
    tenantId: 'default',
    functionId: 'fn_a',
    version: '$LATEST',
    memoryMb: 128,
    billedMs: n,
    endedAt,
  }) as MeterEntry;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fns-meter-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the attempt meter', () => {
  it('appends to a file for each hour, and a flush is with the kernel when it returns', () => {
    const meter = new AttemptMeter(folder);
    meter.add(entry(1));
    expect(readdirSync(folder)).toEqual([]);
    meter.flush();
    meter.add(entry(2, Date.parse('2026-11-20T23:00:00Z')));
    meter.close();
    const again = new AttemptMeter(folder);
    again.add(entry(3));
    again.close();
    expect(readdirSync(folder).sort()).toEqual(['2026-11-20T22.tsv', '2026-11-20T23.tsv']);
    expect(parseMeterLines(readFileSync(join(folder, '2026-11-20T22.tsv'), 'utf8')).map(({ billedMs }) => billedMs)).toEqual([1, 3]);
  });

  it('reads what it wrote, without a line that a crash cut off', () => {
    const text = [1, 2, 3].map((n) => meterLine(entry(n))).join('');
    expect(parseMeterLines(text)).toEqual([entry(1), entry(2), entry(3)]);
    for (let cut = 1; cut < meterLine(entry(3)).length; cut += 1)
      expect(parseMeterLines(text.slice(0, -cut))).toEqual([entry(1), entry(2)]);
    expect(parseMeterLines(`garbage\n${text}a\tb\n`)).toHaveLength(3);
  });

  it('keeps lines that the disk did not take, and says so', () => {
    const meter = new AttemptMeter(folder);
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    meter.add(entry(1));
    meter.flush();
    expect(meter.fault).toBeDefined();
    rmSync(folder);
    expect(new AttemptMeter(folder)).toBeDefined();
    meter.close();
    expect(meter.fault).toBeUndefined();
    expect(readdirSync(folder)).toEqual(['2026-11-20T22.tsv']);
  });
});

describe('leftover processes', () => {
  it('of an earlier platform are ended, also stopped ones; a later process of the same pid is not', async () => {
    const path = join(folder, 'slots.pids');
    const slots = [1, 2].map(() => spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }));
    const bystander = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    const records = new Leftovers(path);
    for (const slot of slots) records.add(slot.pid!);
    process.kill(slots[0]!.pid!, 'SIGSTOP');
    appendFileSync(path, `${bystander.pid} 12345\nnonsense\n1 1\n`);
    const gone = Promise.all(slots.map((slot) => once(slot, 'exit')));
    expect(new Leftovers(path).sweep()).toBe(2);
    await gone;
    expect(bystander.exitCode).toBeNull();
    expect(bystander.signalCode).toBeNull();
    bystander.kill('SIGKILL');
    await once(bystander, 'exit');
    expect(new Leftovers(path).sweep()).toBe(0);
  });
});
