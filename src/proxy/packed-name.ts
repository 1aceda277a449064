/**
 * A name (of a host, of an app) as a few words that can be compared at once, and their hash. Whoever reads names from bytes packs
 * them as they are read: a string is made only where somebody wants a text.
 */
import { randomInt } from 'node:crypto';

/** Hostnames are up to 40 characters long, nearly all of them. */
export const NAME_WORDS = 10;
export const MAX_PACKED_LENGTH = NAME_WORDS * 4;
/** Of a name that is too long, or not ASCII. Others have a hash of 0 … 2³¹ - 2. */
export const NOT_PACKED = -1;

const MAX_HASH = 2 ** 31 - 2;
const NOT_ASCII = ~0x7f;
/** Odd numbers with bits all over (of Fibonacci hashing, and of MurmurHash3). */
const MIX_WORD = 0x9e3779b1;
const MIX_END = 0x85ebca6b;

/** Another one in each process, so that nobody can choose names that meet. */
const SEED = randomInt(2 ** 32);

const unpacking = Buffer.alloc(MAX_PACKED_LENGTH);

export class PackedName {
  /** Four characters a word. What is behind `length` is of earlier names. */
  readonly words = new Int32Array(NAME_WORDS);
  hash = NOT_PACKED;
  length = 0;
  /** For whoever looks names up: what was found for this one, and in which state of the table. Packing forgets it. */
  found = 0;
  foundIn = 0;
  #text: string | undefined;

  get text(): string {
    this.#text ??= unpack(this.words, 0, this.length);
    return this.#text;
  }

  pack(text: string): this {
    this.#text = text;
    this.foundIn = 0;
    this.length = text.length;
    this.hash = this.#packWords(text);
    return this;
  }

  /** For those who have put the characters into `words` already, and mixed each word in from `hashOf(length)` on. */
  packedTo(length: number, hash: number): void {
    this.#text = undefined;
    this.foundIn = 0;
    this.length = length;
    this.hash = endHash(hash);
  }

  #packWords(text: string): number {
    const { length } = text;
    if (length > MAX_PACKED_LENGTH) return NOT_PACKED;
    const { words } = this;
    let hash = hashOf(length);
    let seen = 0;
    for (let i = 0; i < length; i += 4) {
      let word = 0;
      const end = i + 4 < length ? i + 4 : length;
      for (let at = i, shift = 0; at < end; at++, shift += 8) {
        const code = text.charCodeAt(at);
        seen |= code;
        word |= code << shift;
      }
      words[i >> 2] = word;
      hash = mixWord(hash, word);
    }
    // Two names that are not ASCII could be packed alike.
    return (seen & NOT_ASCII) === 0 ? endHash(hash) : NOT_PACKED;
  }
}

/** Where the hash of a name of this many characters begins. */
export function hashOf(length: number): number {
  return SEED ^ length;
}

export function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, MIX_WORD);
  return mixed ^ (mixed >>> 15);
}

function endHash(hash: number): number {
  const mixed = Math.imul(hash, MIX_END);
  const positive = (mixed ^ (mixed >>> 13)) >>> 1;
  return positive > MAX_HASH ? MAX_HASH : positive;
}

/** The name that was packed at `at`. */
export function unpack(words: Int32Array, at: number, length: number): string {
  for (let i = 0; i < length; i++) unpacking[i] = (words[at + (i >> 2)] as number) >>> ((i & 3) << 3);
  return unpacking.toString('latin1', 0, length);
}
