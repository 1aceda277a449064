/**
 * An accepted connection that reads into memory it is given (`onread`). Node offers that for connections one makes, not for
 * those a server accepts, so the connection gets a socket of our own making. Where that cannot be had (another runtime, TLS,
 * something was read already), it reads as every socket does, into new memory each time.
 */
import { Socket } from 'node:net';
import type { OnReadOpts, SocketConstructorOpts } from 'node:net';

/** What a socket has behind it. Used only if it is there. */
interface Handled {
  readonly _handle?: { readonly useUserBuffer?: unknown } | null;
  _server?: unknown;
}

/** If another socket is returned, `accepted` is used for nothing any more, but tells when that closes. */
export function readInto(accepted: Socket, onread: OnReadOpts): Socket | undefined {
  const { _handle: handle, _server: server } = accepted as Handled;
  if (accepted.constructor !== Socket || typeof handle?.useUserBuffer !== 'function') return undefined;
  if (accepted.bytesRead > 0) return undefined;
  const options = { handle, allowHalfOpen: true, onread };
  const socket = new Socket(options as unknown as SocketConstructorOpts);
  // The server counts it, and waits for it when it closes.
  (socket as Handled)._server = server;
  socket.once('close', (hadError: boolean) => accepted.emit('close', hadError));
  return socket;
}
