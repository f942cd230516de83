import { resolve } from 'node:path';
import { killSwitchFrom } from './store/protocol.js';

/** What `npm start` reads from the environment; every name stands here and in docs/defaults.md. */
export interface Settings {
  port: number;
  host: string;
  dataDir: string;
  /** Absent: made at the first start and kept in <data dir>/credentials.json. */
  adminKey: string | undefined;
  /** `A`, `B`, `C`: not better than this; absent: the best that works here. */
  sandboxTier: 'A' | 'B' | 'C' | undefined;
  /** Tenants' sites are `{tenant}.<site domain>`. */
  siteDomain: string;
  /** Below this much free disk nothing is accepted. */
  diskFloorBytes: number | undefined;
  /** For tests only: ends the store's writer thread at a step of its protocol. */
  killWriter: ReturnType<typeof killSwitchFrom>;
}

export class SettingsError extends Error {}

export function settingsFrom(env: NodeJS.ProcessEnv, cwd: string): Settings {
  return {
    port: wholeNumber(env, 'FNS_PORT', 8787, 0, 65_535),
    host: env.FNS_HOST || '127.0.0.1',
    dataDir: resolve(cwd, env.FNS_DATA_DIR || '.fns'),
    adminKey: adminKey(env.FNS_ADMIN_KEY),
    sandboxTier: oneOf(env, 'FNS_SANDBOX_TIER', ['A', 'B', 'C']),
    siteDomain: (env.FNS_SITE_DOMAIN || 'localhost').toLowerCase(),
    diskFloorBytes:
      env.FNS_DISK_FLOOR_MB === undefined ? undefined : wholeNumber(env, 'FNS_DISK_FLOOR_MB', 256, 0, 1_000_000) * 1024 * 1024,
    killWriter: killSwitchFrom(env.FNS_TEST_KILL_WRITER ?? ''),
  };
}

function wholeNumber(env: NodeJS.ProcessEnv, name: string, fallback: number, min: number, max: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new SettingsError(`${name}=${text}: a whole number from ${min} to ${max} is needed.`);
  return value;
}

function oneOf<T extends string>(env: NodeJS.ProcessEnv, name: string, allowed: readonly T[]): T | undefined {
  const text = env[name];
  if (!text) return undefined;
  const found = allowed.find((each) => each === text.toUpperCase());
  if (!found) throw new SettingsError(`${name}=${text}: one of ${allowed.join(', ')} is needed.`);
  return found;
}

const ADMIN_KEY_MIN = 16;

function adminKey(text: string | undefined): string | undefined {
  if (!text) return undefined;
  // The key itself is never shown, not even a wrong one.
  if (!/^[\x21-\x7e]+$/.test(text) || text.length < ADMIN_KEY_MIN) {
    throw new SettingsError(`FNS_ADMIN_KEY: at least ${ADMIN_KEY_MIN} visible ASCII signs without spaces are needed.`);
  }
  return text;
}
