/** Chunks of our own (RFC 9112 §7.1), for a body that had another framing: write the head, the piece, and CRLF. */
import { ascii } from './ascii.ts';

/** Ends a chunk. */
export const CHUNK_END = ascii('\r\n');
/** Ends the body. */
export const LAST_CHUNK = ascii('0\r\n\r\n');
/** The size of a piece below 4 GiB, and CRLF. */
export const MAX_CHUNK_HEAD_BYTES = 10;

const DIGITS = ascii('0123456789abcdef');

/** Writes the head of a chunk of this many bytes (1 to 2^32 - 1) to `out` at `at`; returns where it ends. */
export function writeChunkHead(bytes: number, out: Buffer, at: number): number {
  let end = at;
  let shift = 28;
  while (shift > 0 && bytes >>> shift === 0) shift -= 4;
  for (; shift >= 0; shift -= 4) out[end++] = DIGITS[(bytes >>> shift) & 15] as number;
  out[end] = 0x0d;
  out[end + 1] = 0x0a;
  return end + 2;
}
