/** An answer of our own as the bytes of one write. */
import type { PlatformError } from '../../errors.ts';
import { ownAnswer } from '../stand-in.ts';
import type { StandIn } from '../stand-in.ts';

export interface ErrorBytesOptions {
  readonly error: PlatformError | StandIn;
  /** The request's `Accept`. */
  readonly accept: string | undefined;
  /** The request's method was HEAD. */
  readonly head: boolean;
  /** The connection ends with it. */
  readonly close: boolean;
}

export function errorBytes({ error, accept, head, close }: ErrorBytesOptions): Buffer {
  const { status, reason, headers, body } = ownAnswer(error, accept);
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i] ?? ''}: ${headers[i + 1] ?? ''}\r\n`;
  const lines = Buffer.from(`${text}${close ? 'Connection: close\r\n' : ''}\r\n`, 'latin1');
  return head ? lines : Buffer.concat([lines, body]);
}
