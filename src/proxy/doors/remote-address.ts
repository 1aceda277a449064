/**
 * Where a connection comes from, asked of its handle: a socket of Node answers with a new object each time, which is made property by property from
 * outside of V8, and that takes as long as reading a request. Where there is no such handle (another runtime), the socket is asked.
 */
import type { Socket } from 'node:net';

interface Handle {
  /** Fills in what it is given. 0: it has. */
  readonly getpeername?: (told: { address: string; family: string; port: number }) => number;
}

const told = { address: '', family: '', port: 0 };

/** Undefined: it has gone again. */
export function remoteAddressOf(socket: Socket): string | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: Handle | null };
  if (typeof handle?.getpeername !== 'function') return socket.remoteAddress;
  return handle.getpeername(told) === 0 ? told.address : undefined;
}
