/**
 * Writes the head that goes to the client: the app's own bytes, less what concerns its connection to us and what would pass
 * for ours, and with what concerns the client's connection.
 */
import { ascii, DIGIT_0, write } from './ascii.ts';
import type { ResponseHead } from './response-head.ts';

/** The body is sent in chunks, as they came or made by us: `Transfer-Encoding: chunked`. */
export const SEND_CHUNKED = 1;
/** The connection ends with this answer: `Connection: close`. */
export const SEND_CLOSE = 2;
/** It goes on, which an HTTP/1.0 client has to be told: `Connection: keep-alive`. */
export const SEND_KEEP_ALIVE = 4;

const LINE_END = ascii('\r\n');
const TRANSFER_ENCODING = ascii('Transfer-Encoding: chunked\r\n');
const CLOSE = ascii('Connection: close\r\n');
const KEEP_ALIVE = ascii('Connection: keep-alive\r\n');
const UPGRADE = ascii('Connection: Upgrade\r\n');
const VERSION = ascii('HTTP/1.1 ');
/** All of those above. */
const FIXED_BYTES = 128;

/** `writeResponse` writes no more than this. */
export function maxResponseBytes(head: ResponseHead, lines?: Buffer): number {
  return head.headBytes + FIXED_BYTES + (lines?.length ?? 0);
}

/**
 * Writes the head to `out` at `at`, where there are `maxResponseBytes`, and returns where it ends. `source`, `start`: the
 * bytes that were parsed, wherever they are now. `send`: bits of the above. `lines`: whole field lines to add; see
 * `fieldLines`.
 */
export function writeResponse(
  head: ResponseHead,
  source: Buffer,
  start: number,
  out: Buffer,
  at: number,
  send: number,
  lines?: Buffer,
): number {
  const { line, repetition } = head;
  if (head.repeats && lines === undefined && send === head.sent) return repetition.write(out, at);
  const fieldsEnd = head.headBytes - LINE_END.length;
  let end: number;
  if (line.canonical) {
    end = head.cuts.copyKept(source, start, 0, fieldsEnd, out, at);
    out[at + 7] = DIGIT_0 + 1; // whatever the app speaks, we speak HTTP/1.1 (RFC 9110 §2.5)
  } else {
    end = write(VERSION, out, at);
    end += out.write(`${line.status} \r\n`, end, 'latin1');
    end = head.cuts.copyKept(source, start, line.end, fieldsEnd, out, end);
  }
  if ((send & SEND_CHUNKED) !== 0) end = write(TRANSFER_ENCODING, out, end);
  if ((send & SEND_CLOSE) !== 0) end = write(CLOSE, out, end);
  else if ((send & SEND_KEEP_ALIVE) !== 0) end = write(KEEP_ALIVE, out, end);
  else if (line.status === 101) end = write(UPGRADE, out, end);
  if (lines !== undefined) end = write(lines, out, end);
  end = write(LINE_END, out, end);
  if (lines === undefined && line.status >= 200) {
    head.sent = send;
    repetition.remember(head.method, source, start, start + head.headBytes, out, at, end);
  }
  return end;
}
