/**
 * Writes the head that goes to the app. What concerns one connection ends at it (RFC 9110 §7.6.1), what says where a request
 * came from is said by us, `Mayfly-*` is ours; everything else passes as the bytes it came in: its order, its case, its
 * repetitions. Whatever the client spoke, it is HTTP/1.1 (RFC 9110 §2.5), and framed in one canonical spelling.
 */
import { ascii, ASTERISK, copyBytes, DIGIT_0, SLASH, write } from './ascii.ts';
import { CHUNKED, NO_BODY } from './framing.ts';
import { OPTIONS, usuallyHasBody } from './methods.ts';
import type { Origin } from './origin.ts';
import { repetitionKey } from './request-head.ts';
import type { RequestHead } from './request-head.ts';
import { ABSOLUTE_FORM } from './request-line.ts';

const LINE_END = ascii('\r\n');
const VERSION = ascii(' HTTP/1.1\r\n');
const HOST = ascii('Host: ');
const TRANSFER_ENCODING = ascii('Transfer-Encoding: chunked\r\n');
const NO_CONTENT = ascii('Content-Length: 0\r\n');
const TAKES_TRAILERS = ascii('TE: trailers\r\nConnection: TE\r\n');
const UPGRADE = ascii('Connection: Upgrade\r\nUpgrade: websocket\r\n');
/** All of those above, and the slash of an empty path. */
const FIXED_BYTES = 192;

export interface RequestAdditions {
  /** Whole field lines, each with its CRLF; see `fieldLines`. */
  readonly lines?: Buffer | undefined;
  /** Pass the WebSocket handshake on (`ODD.webSocket`). Without it the app is asked in plain HTTP/1.1. */
  readonly upgrade?: boolean | undefined;
}

/** `writeRequest` writes no more than this. */
export function maxRequestBytes(head: RequestHead, origin: Origin, additions?: RequestAdditions): number {
  if (head.repeats) return head.line.end + head.repetition.sentBytes;
  return head.headBytes + FIXED_BYTES + origin.maxBytes(head) + (additions?.lines?.length ?? 0);
}

/**
 * Writes the head to `out` at `at`, where there are `maxRequestBytes`, and returns where it ends. `source`, `start`: the bytes
 * that were parsed, wherever they are now; they are not changed. Not for a head with `ODD.noHost`.
 */
export function writeRequest(
  head: RequestHead,
  source: Buffer,
  start: number,
  out: Buffer,
  at: number,
  origin: Origin,
  additions?: RequestAdditions,
): number {
  if (head.repeats && additions === undefined) return writeAgain(head, source, start, out, at);
  const { line, framing } = head;
  const { cuts } = head.fields;
  const fieldsEnd = head.headBytes - LINE_END.length;
  let end: number;
  if (line.form === ABSOLUTE_FORM) {
    end = writePath(head, source, start, out, at);
    end = cuts.copyKept(source, start, line.end, fieldsEnd, out, end);
    if (head.hostFromTarget) end = writeHost(head, out, end);
  } else {
    end = cuts.copyKept(source, start, line.start, fieldsEnd, out, at);
    // HTTP/1.0's digit becomes ours.
    out[at + line.end - line.start - LINE_END.length - 1] = DIGIT_0 + 1;
  }
  if (framing === CHUNKED) end = write(TRANSFER_ENCODING, out, end);
  else if (framing === NO_BODY && !head.saysLength && usuallyHasBody(line.method))
    end = write(NO_CONTENT, out, end);
  if (additions?.upgrade === true) end = write(UPGRADE, out, end);
  else if (head.fields.acceptsTrailers) end = write(TAKES_TRAILERS, out, end);
  end = origin.write(head, source, start, out, end);
  if (additions?.lines !== undefined) end = write(additions.lines, out, end);
  end = write(LINE_END, out, end);
  if (head.odd === 0 && additions === undefined) {
    const lineBytes = line.end - line.start;
    const from = start + line.end;
    const to = start + head.headBytes;
    head.repetition.remember(repetitionKey(line), source, from, to, out, at + lineBytes, end);
  }
  return end;
}

/** The line, and what was made of the same fields before. */
function writeAgain(head: RequestHead, source: Buffer, start: number, out: Buffer, at: number): number {
  const { line } = head;
  const end = copyBytes(source, start + line.start, start + line.end, out, at);
  out[end - LINE_END.length - 1] = DIGIT_0 + 1;
  return head.repetition.write(out, end);
}

/** The request line of an absolute target, in origin form (RFC 9112 §3.2.1; §3.2.4 for OPTIONS without a path). */
function writePath(head: RequestHead, source: Buffer, start: number, out: Buffer, at: number): number {
  const { line, pathStart } = head;
  // Method and SP.
  let end = copyBytes(source, start + line.start, start + line.targetStart, out, at);
  if (pathStart === line.targetEnd) out[end++] = line.method === OPTIONS ? ASTERISK : SLASH;
  else if (source[start + pathStart] !== SLASH) out[end++] = SLASH;
  end = copyBytes(source, start + pathStart, start + line.targetEnd, out, end);
  return write(VERSION, out, end);
}

function writeHost(head: RequestHead, out: Buffer, at: number): number {
  let end = write(HOST, out, at);
  end += out.write(head.fields.memo.raw, end, 'latin1');
  return write(LINE_END, out, end);
}
