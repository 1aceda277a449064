/**
 * Sockets that read into memory they are given (`onread`). Node offers that for connections one makes, not for those a server
 * accepts, so the socket of such a one is told as its constructor would have told it; and what memory comes next is said by
 * whoever reads, when it changes, instead of being asked for after every read. Where that cannot be had (another runtime,
 * something was read already), an accepted connection reads as every socket does, into new memory each time: 64 KiB of
 * it, for a request of a hundred bytes.
 *
 * All sockets share the one function that is called with what was read: a function of each would be two more objects
 * to find in memory for every read, and at sixty-four connections those are not in the processor's cache.
 */
import { Socket } from 'node:net';
import type { OnReadOpts } from 'node:net';

/** Who reads a socket. */
export interface Reader {
  /** So many bytes have come into the memory that it reads into. False: no more for now. */
  received(bytes: number): boolean;
}

const READER = Symbol('reader');

/** Where the constructor of a socket keeps what `onread` told it. */
const [BUFFER, NEXT_BUFFER, CALLBACK] = symbolsOf(new Socket(), 'kBuffer', 'kBufferGen', 'kBufferCb');

interface Told {
  [READER]?: Reader | undefined;
  [what: symbol]: unknown;
  /** What the socket has behind it. Used only if it is there. */
  readonly _handle?: { readonly useUserBuffer?: (buffer: Uint8Array) => void } | null;
}

/** For a connection that is made: `readBy` says by whom. */
export function onread(memory: Buffer): OnReadOpts {
  return { buffer: memory, callback: received };
}

/** Before the connection has been made. */
export function readBy(socket: Socket, reader: Reader): void {
  toldOf(socket)[READER] = reader;
}

/** Whether an accepted connection does so from here on. */
export function readInto(socket: Socket, memory: Buffer, reader: Reader): boolean {
  const told = toldOf(socket);
  const { _handle: handle } = told;
  if (BUFFER === undefined || NEXT_BUFFER === undefined || CALLBACK === undefined) return false;
  if (typeof handle?.useUserBuffer !== 'function' || socket.readableLength > 0) return false;
  told[READER] = reader;
  told[BUFFER] = memory;
  told[NEXT_BUFFER] = null;
  told[CALLBACK] = received;
  handle.useUserBuffer(memory);
  return true;
}

/** Whether `readOnInto` can be had. */
export const CAN_READ_ON = NEXT_BUFFER !== undefined;

/** From the next read on it reads into this; only from within `received`. */
export function readOnInto(socket: Socket, memory: Buffer): void {
  if (NEXT_BUFFER === undefined) return;
  const told = toldOf(socket);
  told[NEXT_BUFFER] = () => {
    told[NEXT_BUFFER] = null;
    return memory;
  };
}

/** It has closed: what it was told is forgotten. */
export function forgetReader(socket: Socket): void {
  const told = toldOf(socket);
  told[READER] = undefined;
  if (BUFFER === undefined || NEXT_BUFFER === undefined || CALLBACK === undefined) return;
  told[BUFFER] = told[NEXT_BUFFER] = told[CALLBACK] = null;
}

function received(this: unknown, bytes: number): boolean {
  return (this as Told)[READER]?.received(bytes) ?? false;
}

function toldOf(socket: Socket): Told {
  return socket as unknown as Told;
}

function symbolsOf(socket: Socket, ...names: readonly string[]): (symbol | undefined)[] {
  const symbols = Object.getOwnPropertySymbols(socket);
  return names.map((name) => symbols.find(({ description }) => description === name));
}
