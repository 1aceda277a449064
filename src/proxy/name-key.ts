/** A name as a few words that can be compared at once, and their hash. There is one key; it stays until another name is packed. */
import { randomInt } from 'node:crypto';

/** Hostnames are up to 40 characters long, nearly all of them. */
export const KEY_WORDS = 10;
const MAX_LENGTH = KEY_WORDS * 4;
const NOT_ASCII = ~0x7f;
/** Odd numbers with bits all over (of Fibonacci hashing, and of MurmurHash3). */
const MIX_WORD = 0x9e3779b1;
const MIX_END = 0x85ebca6b;

/** Another one in each process, so that nobody can choose names that meet. */
const SEED = randomInt(2 ** 32);

/** Four characters a word. What is behind `keyLength` is of earlier names. */
export const key = new Uint32Array(KEY_WORDS);

/**
 * Packs a name into `key`; returns its hash, 32 bits without a sign. -1: it is too long, or not ASCII, and two such names could
 * be packed alike.
 */
export function packKey(name: string): number {
  const { length } = name;
  if (length > MAX_LENGTH) return -1;
  let hash = (SEED ^ length) | 0;
  let seen = 0;
  let words = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const a = name.charCodeAt(i);
    const b = name.charCodeAt(i + 1);
    const c = name.charCodeAt(i + 2);
    const d = name.charCodeAt(i + 3);
    seen |= a | b | c | d;
    const word = a | (b << 8) | (c << 16) | (d << 24);
    key[words++] = word;
    hash = Math.imul(hash ^ word, MIX_WORD);
    hash ^= hash >>> 15;
  }
  if (i < length) {
    let word = 0;
    for (let shift = 0; i < length; i++, shift += 8) {
      const code = name.charCodeAt(i);
      seen |= code;
      word |= code << shift;
    }
    key[words] = word;
    hash = Math.imul(hash ^ word, MIX_WORD);
    hash ^= hash >>> 15;
  }
  if ((seen & NOT_ASCII) !== 0) return -1;
  hash = Math.imul(hash, MIX_END);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** The name that was packed at `at`. */
export function unpackKey(words: Uint32Array, at: number, length: number): string {
  let name = '';
  for (let i = 0; i < length; i++)
    name += String.fromCharCode(((words[at + (i >> 2)] as number) >>> ((i & 3) << 3)) & 0x7f);
  return name;
}
