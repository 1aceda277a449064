/**
 * Bytes that say whose they are: every line of a body names its owner, every kilobyte its place. What reaches another than its
 * owner, or another place, is seen at the first byte, and the message names both.
 */
import { Random } from '../fuzz/http1-mutate.ts';

const LINE_BYTES = 64;
const BLOCK_BYTES = 1024;
const KEY_BYTES = 24;
const LETTERS = Buffer.from('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-');

/** The bytes of one owner: an endless body, of which a message is some length. */
export class Content {
  readonly #block = Buffer.allocUnsafe(BLOCK_BYTES);

  /** `key`: at most 24 letters. */
  constructor(key: string) {
    let seed = 2166136261;
    for (let i = 0; i < key.length; i++) seed = Math.imul(seed ^ key.charCodeAt(i), 16777619);
    const random = new Random(seed);
    for (let line = 0; line < BLOCK_BYTES; line += LINE_BYTES) {
      this.#block.write(key.padEnd(KEY_BYTES, '.'), line, 'latin1');
      for (let at = line + KEY_BYTES; at < line + LINE_BYTES - 1; at++)
        this.#block[at] = LETTERS[random.below(LETTERS.length)] as number;
      this.#block[line + LINE_BYTES - 1] = 0x0a;
    }
  }

  /** The bytes from `from` on. */
  bytes(from: number, length: number): Buffer {
    const out = Buffer.allocUnsafe(length);
    let at = 0;
    while (at < length) {
      const place = (from + at) % BLOCK_BYTES;
      const number = (from + at - place) / BLOCK_BYTES;
      this.#block.write(number.toString(16).padStart(8, '0'), KEY_BYTES, 'latin1');
      at += this.#block.copy(out, at, place, Math.min(BLOCK_BYTES, place + length - at));
    }
    return out;
  }
}

/** Reads a body in the pieces in which it comes. */
export class ContentCheck {
  /** Bytes so far. */
  length = 0;
  /** The first thing that was wrong. */
  wrong: string | undefined;
  readonly #key: string;
  #content: Content | undefined;

  constructor(key: string) {
    this.#key = key;
  }

  take(piece: Buffer): void {
    if (this.wrong === undefined && piece.length > 0) {
      this.#content ??= new Content(this.#key);
      const expected = this.#content.bytes(this.length, piece.length);
      if (!expected.equals(piece)) this.wrong = this.#compare(piece, expected);
    }
    this.length += piece.length;
  }

  #compare(piece: Buffer, expected: Buffer): string {
    let at = 0;
    while (piece[at] === expected[at]) at++;
    const around = piece.toString('latin1', Math.max(0, at - 16), at + 2 * LINE_BYTES);
    return `${this.#key} at byte ${this.length + at} has ${JSON.stringify(around)}`;
  }
}
