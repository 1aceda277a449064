/** One connection of a client, and the requests that are open on it: when it goes, they are told. */
import type { Socket } from 'node:net';
import type { ClientWay, OpenExchange } from './client-side.ts';
import type { Peer } from './doors/peer.ts';

export class ClientConnection implements ClientWay {
  readonly socket: Socket;
  readonly peer: Peer;
  readonly exchanges = new Set<OpenExchange>();
  last = false;
  #closing = false;
  /** Answered before all of it had come. */
  #answeredEarly: OpenExchange | undefined;
  #readBefore: number;
  #sentBefore: number;

  constructor(socket: Socket, peer: Peer) {
    this.socket = socket;
    this.peer = peer;
    // One that comes from another server has a past, and brings what that has put back.
    this.#readBefore = socket.bytesRead - socket.readableLength;
    this.#sentBefore = socket.bytesWritten;
    socket.once('close', () => {
      for (const exchange of [...this.exchanges]) exchange.clientGone();
    });
  }

  sinceLast(): { receivedBytes: number; sentBytes: number } {
    const { bytesRead, bytesWritten } = this.socket;
    const since = {
      receivedBytes: bytesRead - this.#readBefore,
      sentBytes: bytesWritten - this.#sentBefore,
    };
    this.#readBefore = bytesRead;
    this.#sentBefore = bytesWritten;
    return since;
  }

  /** Every open request has arrived whole: what is wrong now came after them. */
  get allReceived(): boolean {
    for (const exchange of this.exchanges) if (!exchange.received) return false;
    return true;
  }

  /** The requests that are open get their answers, then the connection closes. */
  closeWhenDone(): void {
    this.last = true;
    this.#closing = true;
    this.#closeIfDone();
  }

  /** Breaks it off, with what is open on it. */
  abort(): void {
    for (const exchange of [...this.exchanges]) exchange.abort();
    this.socket.destroy();
  }

  cut(): void {
    this.socket.destroy();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  add(exchange: OpenExchange): void {
    this.exchanges.add(exchange);
  }

  remove(exchange: OpenExchange): void {
    this.exchanges.delete(exchange);
    this.#answeredEarly = exchange.received ? undefined : exchange;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#closing && this.exchanges.size === 0) this.socket.destroySoon();
  }

  /**
   * Whether an error answer written now would be taken for the answer to what is wrong, and not for that of an earlier
   * request which is still being served, or for a second one to a request whose rest is wrong.
   */
  get mayAnswerNow(): boolean {
    if (this.last || this.exchanges.size > 1 || this.#answeredEarly?.received === false) return false;
    for (const exchange of this.exchanges) if (exchange.received || exchange.answering) return false;
    return true;
  }
}
