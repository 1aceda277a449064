/** Waits for the PROXY header of a connection, bounded in time and bytes, and puts back what comes behind it. */
import type { Socket } from 'node:net';
import type { Clock } from '../../../clock.ts';
import { plainAddress } from '../../../networks.ts';
import { readProxyHeader } from './header.ts';

export type ConnectionOrigin =
  /** Undefined: whoever is connected speaks for itself. */
  { readonly address: string | undefined } | { readonly refusal: string };

/**
 * Calls back once, unless the connection closes before. The socket is paused then, and what is read of it next is what
 * follows the header.
 */
export function readOrigin(
  socket: Socket,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
  done: (origin: ConnectionOrigin) => void,
): void {
  let seen: Buffer | undefined;
  const onData = (chunk: Buffer) => {
    // Bounded: a header that is too long is refused by what has arrived of it.
    seen = seen === undefined ? chunk : Buffer.concat([seen, chunk]);
    const header = readProxyHeader(seen);
    if (header.state === 'incomplete') return;
    finish();
    if (header.state === 'refused') {
      done({ refusal: header.reason });
      return;
    }
    socket.pause();
    if (header.headerBytes < seen.length) socket.unshift(seen.subarray(header.headerBytes));
    done({ address: header.source && plainAddress(header.source.address) });
  };
  const give = () => {
    finish();
    socket.destroy();
  };
  const cancel = clock.after(timeoutMs, () => {
    finish();
    done({ refusal: 'it did not arrive in time' });
  });
  const finish = () => {
    cancel();
    socket.off('data', onData).off('end', give).off('close', finish).off('error', ignore);
  };
  socket.on('data', onData).on('end', give).on('close', finish).on('error', ignore);
}

function ignore(): void {
  // A broken socket also closes.
}
