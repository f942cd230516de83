import type { AuditLog } from '../audit/model.js';
import type { Clock, Random } from '../clock.js';
import { DEFAULTS } from '../defaults.js';
import { LATEST } from '../functions/model.js';
import type { Functions } from '../functions/service.js';
import { asTenantId, asTriggerId, base32, type FunctionId, type TenantId, type TriggerId, timePrefix } from '../ids.js';
import type { Page, PageQuery } from '../page.js';
import { invalidField, notFound, Refusal } from '../refusal.js';
import type { Principal } from '../tenancy/model.js';
import type { HttpTrigger, Trigger } from './model.js';
import type { TriggerStore } from './port.js';
import type { Runners } from './runners.js';
import type { SeenTrigger, TriggerChange, TriggerInput, TriggersService } from './service.js';
import { changedTrigger, claimsOfTrigger, newTrigger } from './settings.js';

export interface TriggersParts {
  store: TriggerStore;
  functions: Pick<Functions, 'get' | 'version'>;
  audit: AuditLog;
  clock: Clock;
  random: Random;
  runners: Runners;
  /** The sign-in by token of an OIDC issuer is set up. */
  hasJwt: boolean;
  /** Throws a Refusal where this tenant's triggers may not take from that queue. */
  checkQueueUrl(who: Principal, url: string): void;
}

const CHANGE_TRIES = 5;
const LOAD_AT_ONCE = 500;
const isTriggerId = (text: string): boolean => /^trg_[0-9a-hjkmnp-tv-z]{20}$/.test(text);

/** Triggers: created, listed, changed and removed; what runs them follows (`runners`). */
export class Triggers implements TriggersService {
  constructor(private readonly parts: TriggersParts) {}

  /** Loads all triggers; those whose function was deleted while nobody looked go. Runs begin with `runners.start()`. */
  async load(exists: (tenantId: TenantId, functionId: FunctionId) => Promise<boolean>): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.parts.store.all({ limit: LOAD_AT_ONCE, cursor });
      for (const trigger of page.items) {
        if (await exists(trigger.tenantId, trigger.functionId)) await this.parts.runners.set(trigger);
        else await this.parts.store.remove(trigger.tenantId, trigger.triggerId);
      }
      cursor = page.nextCursor;
    } while (cursor);
  }

  async create(who: Principal, functionId: string, input: TriggerInput): Promise<SeenTrigger> {
    const fn = await this.parts.functions.get(who.tenantId, functionId);
    const now = this.parts.clock.now();
    const triggerId = asTriggerId(`trg_${timePrefix(now)}${base32(this.parts.random.bytes(7), 10)}`);
    const trigger = newTrigger(input, { triggerId, tenantId: fn.tenantId, functionId: fn.functionId, now });
    await this.checkAround(who, trigger);
    const done = await this.parts.store.create(trigger, claimsOfTrigger(trigger), DEFAULTS.triggersPerFunction);
    if (done.kind === 'taken') throw taken(done.claim, done.by);
    if (done.kind === 'full') throw new Refusal(409, 'FNS_409_LIMIT', `A function has at most ${DEFAULTS.triggersPerFunction} triggers.`);
    await this.parts.runners.set(trigger);
    await this.audit(who, 'trigger.create', trigger);
    return this.seen(trigger);
  }

  async list(tenantId: string, functionId: string, query: PageQuery): Promise<Page<SeenTrigger>> {
    const fn = await this.parts.functions.get(asTenantId(tenantId), functionId);
    const page = await this.parts.store.list(fn.tenantId, fn.functionId, query);
    return { items: await Promise.all(page.items.map((trigger) => this.seen(trigger))), nextCursor: page.nextCursor };
  }

  async get(tenantId: string, functionId: string, triggerId: string): Promise<SeenTrigger> {
    return this.seen(await this.found(asTenantId(tenantId), functionId, triggerId));
  }

  async update(who: Principal, functionId: string, triggerId: string, change: TriggerChange): Promise<SeenTrigger> {
    for (let tries = 1; tries <= CHANGE_TRIES; tries += 1) {
      const before = await this.found(who.tenantId, functionId, triggerId);
      const after = changedTrigger(before, change, this.parts.clock.now());
      await this.checkAround(who, after);
      const done = await this.parts.store.update(after, claimsOfTrigger(after));
      if (done.kind === 'taken') throw taken(done.claim, done.by);
      if (done.kind === 'missing') throw notFound('trigger', triggerId);
      if (done.kind === 'changed') continue;
      await this.parts.runners.set(after);
      await this.audit(who, 'trigger.update', after);
      return this.seen(after);
    }
    throw new Refusal(409, 'FNS_409_CHANGED', 'The trigger is being changed by others at the same time; try again.');
  }

  /** When it resolves, the trigger starts nothing any more. */
  async remove(who: Principal, functionId: string, triggerId: string): Promise<void> {
    const trigger = await this.found(who.tenantId, functionId, triggerId);
    await this.parts.store.remove(trigger.tenantId, trigger.triggerId);
    await this.parts.runners.remove(trigger.triggerId);
    await this.audit(who, 'trigger.delete', trigger);
  }

  /** Disabled, enabled, changed or deleted: a deleted function's triggers go with it. */
  async functionChanged(tenantId: TenantId, functionId: FunctionId, deleted = false): Promise<void> {
    if (!deleted) return this.parts.runners.functionChanged(functionId);
    for (const triggerId of await this.parts.store.removeOf(tenantId, functionId)) await this.parts.runners.remove(triggerId);
  }

  private async checkAround(who: Principal, trigger: Trigger): Promise<void> {
    if (trigger.type === 'http') this.checkAuth(trigger);
    if (trigger.type === 'queue' && trigger.queueUrl !== undefined) this.parts.checkQueueUrl(who, trigger.queueUrl);
    if (trigger.qualifier === LATEST) return;
    await this.parts.functions.version(trigger.tenantId, trigger.functionId, trigger.qualifier).catch((error: unknown) => {
      throw error instanceof Refusal && error.status === 404 ? invalidField('qualifier', 'is no published version of the function') : error;
    });
  }

  private checkAuth({ auth }: HttpTrigger): void {
    if (auth === 'jwt' && !this.parts.hasJwt) throw invalidField('auth', 'no OIDC issuer is set up on this platform', 'key, none');
  }

  private async found(tenantId: TenantId, functionId: string, triggerId: string): Promise<Trigger> {
    const trigger = isTriggerId(triggerId) ? await this.parts.store.get(tenantId, asTriggerId(triggerId)) : undefined;
    if (trigger?.functionId !== functionId) throw notFound('trigger', triggerId);
    return trigger;
  }

  private async seen(trigger: Trigger): Promise<SeenTrigger> {
    return { trigger, status: await this.parts.runners.status(trigger) };
  }

  private audit(who: Principal, action: string, trigger: Trigger): Promise<void> {
    const { tenantId, triggerId, functionId, type, enabled, qualifier } = trigger;
    const what = trigger.type === 'http' ? trigger.path : trigger.type === 'cron' ? trigger.schedule : (trigger.queue ?? trigger.queueUrl);
    const detail = { functionId, type, enabled, qualifier, what };
    return this.parts.audit.append({ at: this.parts.clock.now(), tenantId, actor: who.keyId, action, target: triggerId, detail });
  }
}

function taken(claim: string, by: TriggerId): Refusal {
  if (claim.startsWith('http ')) {
    const [, method, shape] = claim.split(' ');
    return new Refusal(
      409,
      'FNS_409_ROUTE_TAKEN',
      `Trigger ${by} has the route ${method} ${shape} of this tenant already ({} is any parameter).`,
    );
  }
  return new Refusal(409, 'FNS_409_QUEUE_TAKEN', `Trigger ${by} takes from this queue already; a queue has one taker.`);
}
