import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { Platform } from './platform.js';

/** An attempt is joined when its end lies this far back. */
const SETTLED_MS = 11_000;
const ECHO = 'exports.handler = async (event) => event;';

describe('the bill', () => {
  const platform = new Platform();
  beforeAll(() => platform.start());
  afterAll(() => platform.dispose());

  const month = new Date().toISOString().slice(0, 7);
  const usage = async (functionId: string) =>
    (await platform.ok('GET', '/usage')).items.find((item: { functionId: string }) => item.functionId === functionId);
  const ran = async (functionId: string): Promise<{ requestId: string; billedMs: number }> => (await platform.sync(functionId, 1)).json;
  const sql = (text: string, ...values: string[]) => {
    const db = new DatabaseSync(join(platform.dataDir, 'fns.db'), { timeout: 5000 });
    db.prepare(text).run(...values);
    db.close();
  };
  const meterFile = () => {
    const folder = join(platform.dataDir, 'meter');
    return join(folder, readdirSync(folder).sort().at(-1) as string);
  };
  const settled = (since: number) => new Promise((resolve) => setTimeout(resolve, since + SETTLED_MS - Date.now()));

  it('is corrected when drift is planted on either side, audited, and adjusted once', async () => {
    const { functionId } = await platform.function(ECHO, { memoryMb: 256 });
    const calls = [];
    for (let i = 0; i < 6; i += 1) calls.push(await ran(functionId));
    const [missing, differing, extra] = calls as [
      { requestId: string; billedMs: number },
      { requestId: string; billedMs: number },
      { requestId: string; billedMs: number },
    ];
    const since = Date.now();
    const honest = await usage(functionId);
    sql('DELETE FROM ledger WHERE request_id = ?', missing.requestId);
    sql('UPDATE ledger SET billed_ms = billed_ms + 1000 WHERE request_id = ?', differing.requestId);
    const lines = readFileSync(meterFile(), 'utf8').split('\n');
    writeFileSync(meterFile(), lines.filter((line) => !line.startsWith(extra.requestId)).join('\n'));
    await settled(since);

    const window = { from: new Date(since - 60_000).toISOString(), to: new Date(since + 1).toISOString() };
    const found = await platform.ok('POST', '/reconciliation', window);
    const kinds = found.findings.map((each: { requestId: string; drift: string }) => [each.requestId, each.drift]);
    expect(new Map(kinds)).toEqual(
      new Map([
        [missing.requestId, 'missing'],
        [differing.requestId, 'differing'],
        [extra.requestId, 'extra'],
      ]),
    );
    expect(found.billingDrift).toBeGreaterThan(0.001);
    expect((await platform.ok('POST', '/reconciliation', window)).findings).toEqual([]);

    const adjustments = (await platform.ok('GET', `/invoices/${month}/adjustments`)).items;
    expect(adjustments.map((each: { reason: string; billedMs: number }) => [each.reason, each.billedMs]).sort()).toEqual([
      ['differing', -1000],
      ['extra', -extra.billedMs],
      ['missing', missing.billedMs],
    ]);
    const audited = (await platform.ok('GET', '/audit?action=billing.adjust')).items;
    expect(audited.map((each: { target: string }) => each.target).sort()).toEqual(
      adjustments.map((each: { adjustmentId: string }) => each.adjustmentId).sort(),
    );
    expect((await platform.ok('GET', `/functions/${functionId}/metrics`)).billingDrift).toBeGreaterThan(0.001);

    // The rollup still says what was billed before the ledger was damaged; adjustments stand beside it until it is made anew.
    const after = await usage(functionId);
    expect(after.billedMs).toBe(honest.billedMs - 1000 - extra.billedMs + missing.billedMs);
    const lineTexts = (await platform.ok('GET', `/invoices/${month}`)).lines.map((line: { description: string }) => line.description);
    expect(lineTexts.some((text: string) => text.startsWith('Adjustment of compute'))).toBe(true);
  });

  it('is what ran, over kill -9: nothing is taken off for it and nothing added', async () => {
    const { functionId } = await platform.function(ECHO);
    for (let i = 0; i < 5; i += 1) await ran(functionId);
    const since = Date.now();
    await platform.kill();
    // Half a line, as a write that was cut by the kill leaves it.
    appendFileSync(meterFile(), 'req_000000000000');
    await platform.start();
    for (let i = 0; i < 2; i += 1) await ran(functionId);
    await settled(Date.now());
    const found = await platform.ok('POST', '/reconciliation', {
      from: new Date(since - 60_000).toISOString(),
      to: new Date(Date.now() - 10_500).toISOString(),
    });
    expect(found.findings.filter((each: { functionId: string }) => each.functionId === functionId)).toEqual([]);
    expect((await usage(functionId)).requests).toBe(7);
  });
});
