/**
 * An accepted connection that reads into memory it is given (`onread`). Node offers that for connections one makes, not for
 * those a server accepts, so its socket is told as the constructor would have told it. Where that cannot be had (another
 * runtime, something was read already), it reads as every socket does, into new memory each time: 64 KiB of it, for a
 * request of a hundred bytes.
 */
import { Socket } from 'node:net';
import type { OnReadOpts } from 'node:net';

/** What a socket has behind it. Used only if it is there. */
interface Handled {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Uint8Array) => void } | null;
}

/** Where the constructor of a socket keeps what `onread` told it. */
const [BUFFER, NEXT_BUFFER, CALLBACK] = symbolsOf(new Socket(), 'kBuffer', 'kBufferGen', 'kBufferCb');

/** Whether the socket does so from here on. */
export function readInto(
  socket: Socket,
  buffer: () => Uint8Array,
  callback: OnReadOpts['callback'],
): boolean {
  const { _handle: handle } = socket as Handled;
  if (BUFFER === undefined || NEXT_BUFFER === undefined || CALLBACK === undefined) return false;
  if (typeof handle?.useUserBuffer !== 'function' || socket.readableLength > 0) return false;
  const told = socket as unknown as Record<symbol, unknown>;
  const first = buffer();
  told[BUFFER] = first;
  told[NEXT_BUFFER] = buffer;
  told[CALLBACK] = callback;
  handle.useUserBuffer(first);
  return true;
}

/** It has closed: what `readInto` told it is forgotten. */
export function forgetReader(socket: Socket): void {
  if (BUFFER === undefined || NEXT_BUFFER === undefined || CALLBACK === undefined) return;
  const told = socket as unknown as Record<symbol, unknown>;
  told[BUFFER] = told[NEXT_BUFFER] = told[CALLBACK] = null;
}

function symbolsOf(socket: Socket, ...names: readonly string[]): (symbol | undefined)[] {
  const symbols = Object.getOwnPropertySymbols(socket);
  return names.map((name) => symbols.find(({ description }) => description === name));
}
