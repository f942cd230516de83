/** Every default and limit of the platform, in one place; docs/defaults.md is made from it by a test. */
const KB = 1024;
const MB = 1024 * KB;
const SEC = 1000;
const DAY_MS = 24 * 3600 * SEC;

export const DEFAULTS = {
  tenantConcurrency: 100,
  /** Sync callers wait this long for a slot, then 503. */
  slotWaitMs: 10 * SEC,
  /** Sync callers wait this long for the answer, then 202 with Location. */
  syncWaitMs: 29 * SEC,
  backlogItems: 1_000_000,
  backlogBytes: 10 * 1024 * MB,
  keyTtlMs: DAY_MS,
  invocationTtlMs: 30 * DAY_MS,
  deadLetterTtlMs: 14 * DAY_MS,
  auditTtlMs: 180 * DAY_MS,
  logHotMs: 3 * DAY_MS,
  logArchiveMs: 90 * DAY_MS,
  logBytesPerInvocation: 10 * MB,
  logLineBytes: 64 * KB,
  idleSlotMs: 600 * SEC,
  freezeAfterIdleMs: 50,
  initTimeoutMs: 10 * SEC,
  retry: { maxRetries: 5, baseDelayMs: 500, maxAgeSec: 21_600 },
  platformFaultBudget: 5,
  /** Deaths of the owner while it ran: alone after 2, poison at 3. */
  deathsUntilAlone: 2,
  deathsUntilPoison: 3,
  heartbeatMs: 5 * SEC,
  ownerSilentMs: 20 * SEC,
  ownerStopsMs: 12 * SEC,
  leaseGraceMs: 10 * SEC,
  /** A keyless sync call that runs longer is written early, so that it can be seen. */
  openRecordAfterMs: 5 * SEC,
  memoryMb: 128,
  timeoutSec: 3,
  memoryMbMin: 64,
  memoryMbMax: 10_240,
  timeoutSecMin: 1,
  timeoutSecMax: 900,
  payloadSyncBytes: 6 * MB,
  payloadAsyncBytes: MB,
  resultBytes: 6 * MB,
  /** Validated in place up to here, in a worker above. */
  inlineJsonBytes: 64 * KB,
  /** Payloads and results above go to files of their own, fsynced before the row. */
  rowPayloadBytes: 32 * KB,
  jsonDepth: 512,
  idempotencyKeyBytes: 255,
  envBytes: 4 * KB * 8,
  archiveBytes: 50 * MB,
  unpackedBytes: 250 * MB,
  archiveFiles: 10_000,
  pathBytes: 512,
  pathDepth: 32,
  tags: 50,
  descriptionChars: 512,
  perSlotMax: 100,
  keyGraceSecMax: 30 * 24 * 3600,
  queueMessagesPerCall: 1_000,
  queueMessageBytes: 256 * KB,
  /** An id sent again within this time enters once. */
  queueDedupeMs: DAY_MS,
  /** Messages that nobody took for so long are dropped. */
  queueRetentionMs: 14 * DAY_MS,
  queuesPerTenant: 1_000,
  queueBatchSize: 10,
  queueBatchSizeMax: 10_000,
  queueBatchWindowMsMax: 300 * SEC,
  /** Bodies of a batch together, as JSON: the event stays within the limit of a sync payload. */
  queueBatchBytes: 5 * MB,
  queueTriggerConcurrency: 5,
  queueTriggerConcurrencyMax: 1_000,
  /** A queue whose oldest message waits longer shows its trigger as LAGGING. */
  queueLagMs: 60 * SEC,
  triggersPerFunction: 100,
  /** Body of a request to an HTTP trigger. */
  siteBodyBytes: 6 * MB,
  /** So many bytes of large bodies and answers are under way at once, a tenant's being at most half of them; more wait unread. */
  freightBytesPerCpu: 24 * MB,
  /** A large answer that nobody reads for so long is dropped. */
  unreadAnswerMs: 60 * SEC,
  /** A request's body may stand still this long, and take this long in all; then 408. */
  bodyIdleMs: 10 * SEC,
  bodyMs: 120 * SEC,
  /** Answers below this are not worth compressing. */
  siteGzipBytes: KB,
  /** What a client may leave unread of a streamed answer; then it is dropped. */
  siteUnreadBytes: 8 * MB,
  maxRetriesMax: 100,
  /** A new slot is started only where the expected wait exceeds this cold start, milliseconds. */
  coldStartMs: { node: 25, python: 40 },
  slotMemoryShare: 0.7,
  diskFloorBytes: 256 * MB,
  drainMs: 8 * SEC,
} as const;
