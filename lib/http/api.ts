import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { invalid, Refusal } from '../core/refusal.js';
import { type Action, may, type Principal } from '../core/tenancy/model.js';
import { fieldFaults } from './schemas/faults.js';

/** What every handler finds in its context. */
export interface ApiEnv {
  Variables: {
    requestId: string;
    /** Set on all of /api/v1 but the OpenAPI document. */
    principal: Principal;
  };
}

export type Api = OpenAPIHono<ApiEnv>;

/** An app whose failed validations are 422 with every field named. */
export const newApi = (): Api =>
  new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(fieldFaults(result.error, result.target));
    },
  });

/** Throws 403 unless the caller's role allows the action. */
export function requires(c: Context<ApiEnv>, action: Action): Principal {
  const who = c.get('principal');
  if (!may(who, action)) {
    const needed =
      action === 'admin' ? 'only the platform admin may do this' : `the role '${who.role}' may not do this (needed: '${action}')`;
    throw new Refusal(403, 'FNS_403_FORBIDDEN', `This key may not: ${needed}.`);
  }
  return who;
}

/** As a route's middleware: the role is asked before the input is looked at. */
export const needs =
  (action: Action): MiddlewareHandler<ApiEnv> =>
  async (c, next) => {
    requires(c, action);
    await next();
  };
