import type { Random } from '../clock.js';
import { base32 } from '../ids.js';

/** 160 bits: no key is found by trying. */
export const newSecret = (random: Random): string => `fns_${base32(random.bytes(20), 32)}`;
export const newKeyId = (random: Random): string => `key_${base32(random.bytes(13), 20)}`;

/** The platform admin's own key, given by FNS_ADMIN_KEY or made at the first start. */
export const ADMIN_KEY_ID = 'key_admin';
