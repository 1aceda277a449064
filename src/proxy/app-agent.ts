/**
 * Connections of node:http to apps. One is not closed by a write that fails while an answer is awaited: an app that has answered
 * before it has read everything may close then, and its answer lies in the socket (RFC 9112 §9.5). The fast transport has a socket
 * of its own for that (`fast/app-socket.ts`), in which a write costs less.
 */
import { Agent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Socket } from 'node:net';
import type { TcpNetConnectOpts } from 'node:net';
import type { Clock } from '../clock.ts';
import { LAST_WORDS_MS } from './limits.ts';

type Done = (error?: Error | null) => void;

/** A write that fails is not over while somebody reads on: a stream that is told of it reads nothing more. */
class HeardOutSocket extends Socket {
  /** True: it is read on, and closed by whoever says so. */
  readsOn: ((error: Error) => boolean) | undefined;

  override _write(chunk: unknown, encoding: BufferEncoding, done: Done): void {
    super._write(chunk, encoding, this.#unlessReadOn(done));
  }

  override _writev(chunks: Parameters<NonNullable<Socket['_writev']>>[0], done: Done): void {
    super._writev?.(chunks, this.#unlessReadOn(done));
  }

  #unlessReadOn(done: Done): Done {
    return (error) => {
      if (error && this.readsOn?.(error) === true) return;
      done(error);
    };
  }
}

/** Without options it keeps no connection. */
export class AppAgent extends Agent {
  override createConnection(options: TcpNetConnectOpts): Socket {
    return new HeardOutSocket({ noDelay: true }).connect(options);
  }
}

/** What the app of a request says is read for `LAST_WORDS_MS` after a write to it has failed. The request has an `AppAgent`. */
export function hearOut(sent: ClientRequest, clock: Clock): void {
  let heard = false;
  sent.once('response', () => (heard = true)).once('upgrade', () => (heard = true));
  sent.once('socket', (socket) => {
    if (!(socket instanceof HeardOutSocket)) return;
    let failed = false;
    socket.readsOn = (error) => {
      if (heard || failed || sent.destroyed) return false;
      failed = true;
      const destroy = () => {
        if (!heard) socket.destroy(error);
      };
      socket.once('close', clock.after(LAST_WORDS_MS, destroy));
      // A socket whose write is never over does not close by itself.
      sent.once('response', (answer) => answer.once('close', () => socket.destroy()));
      return true;
    };
  });
}
