/**
 * Two sockets joined after an upgrade. Bytes pass both ways with backpressure; a half-close passes too, and the other
 * direction may end what it was saying; a broken socket takes the other with it. See docs/decisions/upgrade-path.md.
 */
import type { Socket } from 'node:net';
import type { BufferSweep } from './buffer-sweep.ts';
import { responseHeaders } from './forward-headers.ts';
import type { UpstreamAnswer } from './upstream-side.ts';

/** Finds peers that vanished without a word. */
const TCP_KEEP_ALIVE_MS = 30_000;

export interface TunnelOptions {
  readonly client: Socket;
  readonly upstream: Socket;
  readonly sweep: BufferSweep;
  /** After one side has ended: how long the other may be silent. */
  readonly halfCloseMs: number;
  /** Both are closed. Called once. */
  readonly onClosed: () => void;
}

/** From now on each side is told what the other says. Once one has ended, the other may be silent for `halfCloseMs`. */
export function joinSockets({ client, upstream, sweep, halfCloseMs, onClosed }: TunnelOptions): void {
  let open = 2;
  const join = (from: Socket, to: Socket) => {
    // What node:http has opened ends its side with the app's: the client could not end what it was saying.
    from.allowHalfOpen = true;
    from.setTimeout(0);
    from.setNoDelay(true);
    from.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    from.on('error', () => to.destroy());
    from.on('timeout', () => from.destroy());
    from.once('end', () => {
      // Silence is fine while both sides are open; of a half-closed pair the rest is only waited for.
      from.setTimeout(halfCloseMs);
      to.setTimeout(halfCloseMs);
    });
    from.once('close', () => {
      // What has arrived is still delivered; a socket that had an error has taken the other along already.
      to.setTimeout(halfCloseMs);
      to.destroySoon();
      if (--open === 0) onClosed();
    });
    from.on('data', (chunk: Buffer) => sweep.relayed(chunk.length));
    from.pipe(to);
  };
  if (client.destroyed || upstream.destroyed) {
    client.destroy();
    upstream.destroy();
    onClosed();
    return;
  }
  join(client, upstream);
  join(upstream, client);
}

/** The head of the 101 answer, as latin1 text: the app's own fields, and those to add (names and values in turn). */
export function switchingProtocols(answer: UpstreamAnswer, extra: readonly string[]): string {
  const headers = responseHeaders({
    rawHeaders: answer.rawHeaders,
    trailers: false,
    upgrade: answer.headers.upgrade,
    extra,
  });
  let head = 'HTTP/1.1 101 Switching Protocols\r\n';
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i] ?? ''}: ${headers[i + 1] ?? ''}\r\n`;
  return `${head}\r\n`;
}
