import { randomBytes } from 'node:crypto';

/** The record kinds' prefixes: an id says what it names. */
export type IdPrefix = 'ten' | 'tok' | 'app' | 'rev' | 'ctr' | 'node' | 'grd';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford base32: no i, l, o, u

function base32(value: number, length: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < length; i++) {
    text = ALPHABET.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

/**
 * A new id such as `ctr_01jd3k2m8x4t9qvw2a`: 9 characters of time (so ids sort by creation), 50 random bits.
 * Safe in container names, labels, file names and URLs.
 */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  const random = [...randomBytes(10)].map((byte) => ALPHABET.charAt(byte & 31)).join('');
  return `${prefix}_${base32(nowMs, 9)}${random}`;
}
