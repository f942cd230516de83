import { createHash } from 'node:crypto';
import { Catalog } from '../core/functions/catalog.js';
import { FunctionCases } from '../core/functions/functions.js';
import { Engine } from '../core/invocations/engine.js';
import type { MeasuredAttempt } from '../core/invocations/parts.js';
import { Closing } from '../core/metering/closing.js';
import { Metering } from '../core/metering/service.js';
import { BillingUpkeep } from '../core/metering/upkeep.js';
import type { Invoker } from '../core/scheduling/port.js';
import { KeyRing } from '../core/tenancy/authenticator.js';
import { TenancyCases } from '../core/tenancy/tenancy.js';
import { checkQueueUrl, queueOrigin } from '../core/triggers/queue-origin.js';
import { Queues } from '../core/triggers/queues.js';
import { type ForeignQueues, Runners } from '../core/triggers/runners.js';
import { Triggers } from '../core/triggers/triggers.js';
import type { Adapters } from './adapters.js';
import { systemClock as clock, digest, systemRandom as random } from './clock.js';
import { ZipArchives } from './code/archive.js';
import type { Execution } from './execution.js';
import { sha256Hex } from './tenancy/bootstrap.js';

export interface DomainParts {
  stores: Adapters;
  execution: Execution;
  invoker: Invoker;
  foreign: ForeignQueues;
  /** This process and boot. */
  owner: string;
  measured(attempt: MeasuredAttempt): void;
  cannotAccept(): string | undefined;
  onFault(error: unknown): void;
}

/** The use cases of core over this machine's adapters, tied to each other. */
export function domain(parts: DomainParts) {
  const identity = identityOf(parts);
  const path = pathOf(parts, identity.tenancy);
  const release = releaseOf(parts, identity.tenancy, path);
  const queues = new Queues({
    store: parts.stores.queues,
    clock,
    random,
    md5: (text) => createHash('md5').update(text).digest('hex'),
    quotasOf: (tenantId) => identity.tenancy.quotas(tenantId),
    arrived: (tenantId, queue) => path.runners.consumers.wake(tenantId, queue),
  });
  return { ...identity, ...path, ...release, queues, ...billingOf(parts) };
}

/** Who may do what. */
function identityOf({ stores, execution }: DomainParts) {
  const keyRing = new KeyRing(stores.tenancy, sha256Hex, clock);
  const tenancy = new TenancyCases({
    store: stores.tenancy,
    keyRing,
    digest: sha256Hex,
    secondTenantRefused: () => refusedHere(execution),
    audit: stores.audit,
    clock,
    random,
  });
  return { keyRing, tenancy };
}

/** What runs calls, and what makes calls by itself. */
function pathOf({ stores, execution, invoker, owner, measured, foreign, cannotAccept }: DomainParts, tenancy: TenancyCases) {
  const catalog = new Catalog(stores.functions, () => execution.runtimesHere());
  const engine = new Engine({
    store: stores.invocations,
    invoker,
    deployments: catalog,
    clock,
    random,
    owner,
    digest,
    quotasOf: (tenantId) => tenancy.quotas(tenantId),
    cannotAccept,
    measured,
    audit: stores.audit,
  });
  const runners = new Runners({
    triggers: stores.triggers,
    queues: stores.queues,
    invocations: engine,
    letters: stores.invocations,
    clock,
    random,
    digest,
    findFunction: (tenantId, functionId) => catalog.find(tenantId, functionId),
    originOf: queueOrigin,
    foreign,
  });
  return { catalog, engine, runners };
}

/** How code and triggers come in. */
function releaseOf({ stores, execution }: DomainParts, tenancy: TenancyCases, { catalog, engine, runners }: ReturnType<typeof pathOf>) {
  const { audit } = stores;
  const functions: FunctionCases = new FunctionCases({
    store: stores.functions,
    catalog,
    dependents: { functionRemoved: (tenantId, functionId) => triggers.functionChanged(tenantId, functionId, true) },
    namespaceExists: (tenantId, name) => tenancy.hasNamespace(tenantId, name),
    reservable: (tenantId, functionId) => engine.admission.reservable(tenantId, functionId),
    code: stores.code,
    archives: new ZipArchives(),
    preparer: execution.preparer,
    runtimesHere: () => execution.runtimesHere(),
    audit,
    clock,
    random,
  });
  const triggers = new Triggers({ store: stores.triggers, functions, audit, clock, random, runners, hasJwt: false, checkQueueUrl });
  return { functions, triggers };
}

export type Domain = ReturnType<typeof domain>;

/** What was used, what it costs, and whether the two agree. */
function billingOf({ stores, onFault }: DomainParts) {
  const closing = new Closing({
    store: stores.metering,
    digest: sha256Hex,
    namesOf: async (tenantId, functionIds) => {
      const found = await Promise.all(functionIds.map((id) => stores.functions.get(tenantId, id as never)));
      return new Map(found.flatMap((fn) => (fn ? [[fn.functionId, fn.name] as const] : [])));
    },
  });
  const upkeep = new BillingUpkeep({
    store: stores.metering,
    meter: stores.meter,
    invocations: stores.invocations,
    audit: stores.audit,
    clock,
    closing,
    onFault,
  });
  return { upkeep, metering: new Metering({ store: stores.metering, closing, upkeep, audit: stores.audit, clock }) };
}

function refusedHere({ sandbox }: Execution): string | undefined {
  return sandbox.allowsSecondTenant
    ? undefined
    : `functions run in sandbox tier ${sandbox.tier}, where they could read what the platform can. ${sandbox.why.join('; ')}`;
}
