/** Where a message's body ends (RFC 9112 §6), and the two fields that say so, read in one way only. */
import { ascii, DIGIT_0, equalsLower } from './ascii.ts';

/** There is no body. */
export const NO_BODY = 0;
/** As many bytes as Content-Length says; at least one. */
export const BY_LENGTH = 1;
/** Chunks, as Transfer-Encoding says. */
export const CHUNKED = 2;
/** Everything until the connection ends: answers only. */
export const UNTIL_CLOSE = 3;
export type Framing = typeof NO_BODY | typeof BY_LENGTH | typeof CHUNKED | typeof UNTIL_CLOSE;

/** No Content-Length has been sent. */
export const UNSAID = -1;
/** What `readLength` returns for a value that is not digits alone. */
export const LENGTH_MALFORMED = -1;
/** What `readLength` returns for a value beyond 2^53 - 1. */
export const LENGTH_TOO_LARGE = -2;

/** The value of a Content-Length: 1*DIGIT (RFC 9110 §8.6), no sign, no list, no space. */
export function readLength(buffer: Buffer, from: number, to: number): number {
  if (from >= to) return LENGTH_MALFORMED;
  let length = 0;
  let tooLarge = false;
  for (let pos = from; pos < to; pos++) {
    const digit = (buffer[pos] as number) - DIGIT_0;
    if (digit < 0 || digit > 9) return LENGTH_MALFORMED;
    length = length * 10 + digit;
    // Once beyond, always beyond: what follows can only be malformed as well.
    if (length > Number.MAX_SAFE_INTEGER) tooLarge = true;
  }
  return tooLarge ? LENGTH_TOO_LARGE : length;
}

const CHUNKED_NAME = ascii('chunked');

/** Whether a Transfer-Encoding is `chunked` and nothing else: the only one that everyone reads alike (RFC 9112 §7). */
export function isChunked(buffer: Buffer, from: number, to: number): boolean {
  return to - from === CHUNKED_NAME.length && equalsLower(buffer, from, CHUNKED_NAME);
}
