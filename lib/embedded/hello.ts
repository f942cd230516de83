import { NODE_RUNTIMES, type Runtime } from '../core/functions/model.js';
import { asTenantId } from '../core/ids.js';
import { ADMIN_KEY_ID } from '../core/tenancy/keys.js';
import type { Principal } from '../core/tenancy/model.js';
import type { Domain } from './domain.js';

const SOURCE = `// The first function: call it, then make it yours.
exports.handler = async (event) => {
  const name = event?.queryStringParameters?.name ?? event?.name ?? 'World';
  console.log('hello was asked to greet', name);
  return { greeting: \`Hello, \${name}!\` };
};
`;

/** So that the first call of a newcomer works: a function \`hello\` with a route, made at the first start and never again. */
export async function makeHello({ functions, triggers }: Domain, runtimesHere: ReadonlySet<Runtime>): Promise<void> {
  const runtime = NODE_RUNTIMES.find((each) => runtimesHere.has(each));
  if (!runtime) return;
  const who: Principal = { tenantId: asTenantId('default'), keyId: ADMIN_KEY_ID, role: 'owner', admin: true };
  const { fn } = await functions.create(who, {
    name: 'hello',
    runtime,
    memoryMb: 128,
    timeoutSec: 3,
    description: 'Made at the first start.',
    code: { kind: 'files', files: { 'index.js': SOURCE } },
  });
  await triggers.create(who, fn.functionId, { type: 'http', path: '/hello', methods: ['GET', 'POST'], auth: 'none' });
}
