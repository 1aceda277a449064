/**
 * An accepted connection that reads into memory it is given (`onread`). Node offers that for connections one makes, not for
 * those a server accepts. So a plain connection gets a socket of our own making, and one with TLS is told as its constructor
 * would have told it. Where that cannot be had (another runtime, something was read already), it reads as every socket
 * does, into new memory each time: 64 KiB of it, under TLS, for a request of a hundred bytes.
 */
import { Socket } from 'node:net';
import type { OnReadOpts, SocketConstructorOpts } from 'node:net';
import { TLSSocket } from 'node:tls';

/** What a socket has behind it. Used only if it is there. */
interface Handled {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Uint8Array) => void } | null;
  _server?: unknown;
}

/** Where the constructor of a socket keeps what `onread` told it. */
const KEPT_AS = ['Symbol(kBuffer)', 'Symbol(kBufferGen)', 'Symbol(kBufferCb)'];

/** The socket to use from here on. If it is not `accepted`, that is used for nothing any more, but tells when this closes. */
export function readInto(accepted: Socket, onread: OnReadOpts): Socket | undefined {
  return accepted instanceof TLSSocket ? tellTls(accepted, onread) : wrap(accepted, onread);
}

function wrap(accepted: Socket, onread: OnReadOpts): Socket | undefined {
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

function tellTls(socket: TLSSocket, onread: OnReadOpts): TLSSocket | undefined {
  const { _handle: handle } = socket as Handled;
  const { buffer: next } = onread;
  const callback: OnReadOpts['callback'] = (bytes, buffer) => onread.callback(bytes, buffer);
  const symbols = Object.getOwnPropertySymbols(socket);
  const keys = KEPT_AS.map((name) => symbols.find((symbol) => String(symbol) === name));
  const isKnown = typeof handle?.useUserBuffer === 'function' && keys.every((key) => key !== undefined);
  if (!isKnown || typeof next !== 'function' || socket.readableLength > 0) return undefined;
  const buffer = next();
  const [bufferKey = '', nextKey = '', callbackKey = ''] = keys;
  Object.assign(socket, { [bufferKey]: buffer, [nextKey]: next, [callbackKey]: callback });
  handle.useUserBuffer(buffer);
  return socket;
}
