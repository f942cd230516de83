import { join } from 'node:path';
import type { Clock } from '../core/clock.js';
import { EmbeddedAudit } from './audit/audit-store.js';
import { FolderCodeStore } from './code/code-store.js';
import { meterFolder } from './execution.js';
import { EmbeddedFunctionStore } from './functions/function-store.js';
import { EmbeddedInvocations } from './invocations/invocations.js';
import { SegmentLogs } from './logs/segment-logs.js';
import { MeterFiles } from './metering/meter-files.js';
import { EmbeddedMetering } from './metering/store.js';
import type { Database } from './store/database.js';
import { Expiry } from './store/expiry.js';
import { LocalSealer, masterKey } from './tenancy/sealer.js';
import { EmbeddedTenancyStore } from './tenancy/tenancy-store.js';
import { EmbeddedQueueStore } from './triggers/queue-store.js';
import { EmbeddedTriggerStore } from './triggers/trigger-store.js';

/** Every port of core, over one data folder. */
export function adapters(database: Database, clock: Clock) {
  const { dataDir } = database;
  const sealer = new LocalSealer(database, masterKey(dataDir));
  const audit = new EmbeddedAudit(database);
  const invocations = new EmbeddedInvocations(database);
  const auditExpiry = async (now: number): Promise<boolean> => {
    await audit.expire(now);
    return false;
  };
  const code = new FolderCodeStore(join(dataDir, 'code'));
  const functions = new EmbeddedFunctionStore(database, sealer);
  const codeSweep = async (now: number): Promise<boolean> => {
    // Young entries stay: an upload may be about to point to one.
    await code.sweep(await functions.codeInUse(), 3_600_000, now);
    return false;
  };
  return {
    audit,
    code,
    functions,
    expiry: new Expiry(clock, [...invocations.expiry(), auditExpiry, codeSweep]),
    invocations,
    logs: SegmentLogs.open(dataDir, clock),
    metering: new EmbeddedMetering(database),
    meter: new MeterFiles(meterFolder(dataDir)),
    queues: new EmbeddedQueueStore(database),
    tenancy: new EmbeddedTenancyStore(database),
    triggers: new EmbeddedTriggerStore(database),
  };
}

export type Adapters = ReturnType<typeof adapters>;
