import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { asTenantId } from '../../core/ids.js';
import { ADMIN_KEY_ID, newSecret } from '../../core/tenancy/keys.js';
import { DEFAULT_QUOTAS } from '../../core/tenancy/quotas.js';
import type { EmbeddedTenancyStore } from './tenancy-store.js';

const CREDENTIALS_FILE = 'credentials.json';
const SECRET_CHARS_MIN = 16;

/** What the CLI reads to find the platform and its key. */
interface Credentials {
  url?: string;
  key: string;
  tenantId: string;
}

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

export interface AdminKey {
  key: string;
  /** Made at this start: to be shown once. */
  made: boolean;
  /** Where the CLI finds it. */
  credentialsFile: string;
}

/**
 * The tenant `default` and the platform admin's key: given (FNS_ADMIN_KEY), else kept from an earlier start, else made.
 * @throws Error where the given key could be guessed
 */
export async function bootstrapTenancy(
  store: EmbeddedTenancyStore,
  options: { dataDir: string; adminKey?: string; url?: string; now: number },
): Promise<AdminKey> {
  const credentialsFile = join(options.dataDir, CREDENTIALS_FILE);
  const kept = readCredentials(credentialsFile);
  if (options.adminKey !== undefined && !/^[\x21-\x7e]{16,512}$/.test(options.adminKey)) {
    throw new Error(`FNS_ADMIN_KEY must have ${SECRET_CHARS_MIN} to 512 printable characters without spaces.`);
  }
  const key = options.adminKey ?? kept?.key ?? newSecret({ fraction: Math.random, bytes: (count) => randomBytes(count) });
  const tenantId = asTenantId('default');
  await store.bootstrap(
    { tenantId, displayName: 'default', quotas: DEFAULT_QUOTAS, state: 'ACTIVE', createdAt: options.now },
    { keyId: ADMIN_KEY_ID, tenantId, name: 'platform admin', role: 'owner', admin: true, sha256: sha256Hex(key), createdAt: options.now },
  );
  writeCredentials(credentialsFile, { url: options.url, key, tenantId });
  return { key, made: options.adminKey === undefined && kept === undefined, credentialsFile };
}

function readCredentials(path: string): Credentials | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const held = JSON.parse(readFileSync(path, 'utf8')) as Partial<Credentials>;
    return typeof held.key === 'string' && held.key.length >= SECRET_CHARS_MIN ? (held as Credentials) : undefined;
  } catch {
    // Damaged: a new key is made and told.
    return undefined;
  }
}

function writeCredentials(path: string, credentials: Credentials): void {
  const fd = openSync(`${path}.new`, 'w', 0o600);
  writeSync(fd, `${JSON.stringify(credentials, undefined, 2)}\n`);
  fsyncSync(fd);
  closeSync(fd);
  renameSync(`${path}.new`, path);
}
