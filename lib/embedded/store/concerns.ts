import { auditTables } from '../audit/tables.js';
import { functionsTables } from '../functions/tables.js';
import { invocationTables } from '../invocations/tables.js';
import { meteringTables } from '../metering/tables.js';
import { tenancyTables } from '../tenancy/tables.js';
import { queuesTables } from '../triggers/queue-tables.js';
import { triggersTables } from '../triggers/tables.js';
import type { Concern } from './concern.js';

/** Every concern that keeps something in the store: one line each. The types of steps and queries come from here. */
export const CONCERNS = [
  auditTables,
  functionsTables,
  invocationTables,
  tenancyTables,
  meteringTables,
  queuesTables,
  triggersTables,
] as const satisfies readonly Concern[];

type Union = (typeof CONCERNS)[number];
type Intersection<U> = (U extends unknown ? (each: U) => void : never) extends (all: infer I) => void ? I : never;
type Steps = Intersection<Union['steps']>;
type Queries = Intersection<Union['queries']>;
// biome-ignore lint/suspicious/noExplicitAny: only the second parameter and the result are looked at
type Run = (db: any, input: any) => any;

export type StepName = keyof Steps & string;
export type StepInput<N extends StepName> = Steps[N] extends Run ? Parameters<Steps[N]>[1] : never;
export type StepResult<N extends StepName> = Steps[N] extends Run ? ReturnType<Steps[N]> : never;
export type QueryName = keyof Queries & string;
export type QueryInput<N extends QueryName> = Queries[N] extends Run ? Parameters<Queries[N]>[1] : never;
export type QueryResult<N extends QueryName> = Queries[N] extends Run ? ReturnType<Queries[N]> : never;
