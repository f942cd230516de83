import type { TenantId } from '../ids.js';

/**
 * Encrypts what must not lie readable at rest, by a key per tenant (envelope: the tenant's key is itself wrapped by
 * the master key). `context` is bound to the ciphertext: what was sealed for one function opens for that one alone.
 */
export interface Sealer {
  seal(tenantId: TenantId, context: string, plain: string): Promise<string>;
  /** @throws PlatformFault where it was tampered with, or the key is not the one that sealed it */
  open(tenantId: TenantId, context: string, sealed: string): Promise<string>;
  /** The same plain text gives the same fingerprint, of one tenant alone: tells a change without opening. */
  fingerprint(tenantId: TenantId, plain: string): Promise<string>;
}
