import { randomBytes } from 'node:crypto';

/** The record kinds' prefixes: an id says what it names. */
export type IdPrefix = 'ten' | 'tok' | 'app' | 'rev' | 'crt' | 'ctr' | 'node' | 'grd';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford base32: no i, l, o, u
const TIME_LENGTH = 9;
const RANDOM_LENGTH = 10;

/** The id made last in this process: the next of the same millisecond follows upon it. */
let lastMs = -1;
let lastRandom = 0n;

function base32(value: bigint, length: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < length; i++) {
    text = ALPHABET.charAt(Number(rest % 32n)) + text;
    rest /= 32n;
  }
  return text;
}

/** 48 bits: two of the 50 there is room for stay zero, so that counting up from here never runs over. */
function fresh(): bigint {
  return BigInt(`0x${randomBytes(6).toString('hex')}`);
}

/**
 * A new id such as `ctr_01jd3k2m84t9qvw2a7k`: 9 characters of time, 10 of chance. Those that one process makes sort by creation,
 * also within one millisecond, or when the clock goes back: they count up. Safe in container names, labels, file names and URLs.
 */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  lastRandom = nowMs > lastMs ? fresh() : lastRandom + 1n;
  lastMs = Math.max(nowMs, lastMs);
  return `${prefix}_${base32(BigInt(Math.trunc(lastMs)), TIME_LENGTH)}${base32(lastRandom, RANDOM_LENGTH)}`;
}
