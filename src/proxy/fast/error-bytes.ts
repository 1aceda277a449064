/** An error answer as the bytes of one write. */
import type { PlatformError } from '../../errors.ts';
import { errorAnswer } from '../error-answer.ts';
import { COLON, equalsLower, LF } from '../http1/ascii.ts';

const ACCEPT = Buffer.from('accept', 'latin1');

export interface ErrorBytesOptions {
  readonly error: PlatformError;
  /** The request's `Accept`. */
  readonly accept: string | undefined;
  /** The request's method was HEAD. */
  readonly head: boolean;
  /** The connection ends with it. */
  readonly close: boolean;
}

export function errorBytes({ error, accept, head, close }: ErrorBytesOptions): Buffer {
  const { status, reason, headers, body } = errorAnswer(error, accept);
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i] ?? ''}: ${headers[i + 1] ?? ''}\r\n`;
  const lines = Buffer.from(`${text}${close ? 'Connection: close\r\n' : ''}\r\n`, 'latin1');
  return head ? lines : Buffer.concat([lines, body]);
}

/** The value of `Accept` among well-formed field lines in [from, to); undefined where there is none. */
export function acceptOf(buffer: Buffer, from: number, to: number): string | undefined {
  let line = from;
  while (line < to) {
    const end = buffer.indexOf(LF, line);
    if (end === -1 || end >= to) return undefined;
    const colon = line + ACCEPT.length;
    if (colon < end && buffer[colon] === COLON && equalsLower(buffer, line, ACCEPT))
      return buffer.toString('latin1', colon + 1, end).trim();
    line = end + 1;
  }
  return undefined;
}
