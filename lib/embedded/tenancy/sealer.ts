import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { TenantId } from '../../core/ids.js';
import { PlatformFault } from '../../core/refusal.js';
import type { Sealer } from '../../core/tenancy/sealer.js';
import type { Database } from '../store/database.js';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MASTER_FILE = 'master.key';

/** `v1.<base64 of nonce, tag, ciphertext>`: AES-256-GCM, the context authenticated with it. */
function sealWith(key: Uint8Array, context: string, plain: Uint8Array): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return `v1.${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')}`;
}

function openWith(key: Uint8Array, context: string, sealed: string): Buffer {
  try {
    const [version, text] = sealed.split('.');
    if (version !== 'v1' || !text) throw new Error('unknown form');
    const bytes = Buffer.from(text, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
  } catch (cause) {
    throw new PlatformFault('something sealed does not open: it was changed, or the master key is another one than it was sealed with', {
      cause,
    });
  }
}

/** The machine's master key: made once, readable by the platform's user alone. Whoever loses it loses every sealed value. */
export function masterKey(dataDir: string): Uint8Array {
  const path = join(dataDir, MASTER_FILE);
  if (!existsSync(path)) {
    const fd = openSync(`${path}.new`, 'w', 0o600);
    writeSync(fd, `${randomBytes(KEY_BYTES).toString('hex')}\n`);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(`${path}.new`, path);
  }
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new PlatformFault(`${path} can be read by others; make it private: chmod 600 ${path}`);
  }
  const key = Buffer.from(readFileSync(path, 'utf8').trim(), 'hex');
  if (key.length !== KEY_BYTES) throw new PlatformFault(`${path} is damaged: it must hold ${KEY_BYTES * 2} hexadecimal digits`);
  return key;
}

/** Envelope encryption: a random data key per tenant, kept in the store wrapped by the master key. */
export class LocalSealer implements Sealer {
  private readonly dataKeys = new Map<TenantId, Promise<Buffer>>();

  constructor(
    private readonly database: Database,
    private readonly master: Uint8Array,
  ) {}

  async seal(tenantId: TenantId, context: string, plain: string): Promise<string> {
    return sealWith(await this.dataKey(tenantId), `${tenantId}\0${context}`, Buffer.from(plain));
  }

  async open(tenantId: TenantId, context: string, sealed: string): Promise<string> {
    return openWith(await this.dataKey(tenantId), `${tenantId}\0${context}`, sealed).toString('utf8');
  }

  async fingerprint(tenantId: TenantId, plain: string): Promise<string> {
    const key = createHmac('sha256', await this.dataKey(tenantId))
      .update('fingerprint')
      .digest();
    return createHmac('sha256', key).update(plain).digest('base64url');
  }

  private dataKey(tenantId: TenantId): Promise<Buffer> {
    const held = this.dataKeys.get(tenantId);
    if (held) return held;
    const loading = this.load(tenantId);
    this.dataKeys.set(tenantId, loading);
    // A failed load must not be what every later call gets.
    loading.catch(() => this.dataKeys.delete(tenantId));
    return loading;
  }

  private async load(tenantId: TenantId): Promise<Buffer> {
    const context = `data-key\0${tenantId}`;
    const kept =
      (await this.database.read('tenancy.dataKey', { tenantId })) ??
      (await this.database.write('tenancy.keepDataKey', { tenantId, wrapped: sealWith(this.master, context, randomBytes(KEY_BYTES)) }));
    return openWith(this.master, context, kept);
  }
}
