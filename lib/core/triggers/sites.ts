import type { TenantId, TriggerId } from '../ids.js';
import type { HttpTrigger } from './model.js';
import { type Match, Router } from './routes.js';

/** The sites of all tenants: each has a router of its own, compiled at its first request after a change. */
export class Sites {
  private readonly routes = new Map<string, Map<TriggerId, HttpTrigger>>();
  private readonly routers = new Map<string, Router>();

  set(trigger: HttpTrigger): void {
    const routes = this.routes.get(trigger.tenantId) ?? new Map<TriggerId, HttpTrigger>();
    routes.set(trigger.triggerId, trigger);
    this.routes.set(trigger.tenantId, routes);
    this.routers.delete(trigger.tenantId);
  }

  remove(trigger: HttpTrigger): void {
    const routes = this.routes.get(trigger.tenantId);
    if (!routes?.delete(trigger.triggerId)) return;
    if (routes.size === 0) this.routes.delete(trigger.tenantId);
    this.routers.delete(trigger.tenantId);
  }

  /** @param rawPath as received, without the query */
  match(tenantId: TenantId | string, method: string, rawPath: string): Match {
    let router = this.routers.get(tenantId);
    if (!router) {
      const routes = this.routes.get(tenantId);
      if (!routes) return { kind: 'none' };
      router = new Router([...routes.values()]);
      this.routers.set(tenantId, router);
    }
    return router.match(method, rawPath);
  }
}
