/**
 * When a request is begun, so that whoever asks much keeps nobody else waiting: the proxy may be served by the same
 * thread. Of one connection one request at a time, the next once the answer before it has been taken by the client; of
 * all connections together one in each turn of the event loop. What a client that has left still had waiting is not
 * begun at all.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests of one connection that may wait for those before them. Hardly any client sends a second one unasked. */
export const MAX_PIPELINED = 16;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface RequestTurnsOptions {
  readonly serve: (request: IncomingMessage, response: ServerResponse) => void;
  /** Told whenever nothing is being served any more and nothing waits. */
  readonly onIdle: () => void;
}

export class RequestTurns {
  readonly #options: RequestTurnsOptions;
  /** What each connection has asked and not been answered, in order; the first is being served, or its socket is due. */
  readonly #lines = new Map<Socket, Exchange[]>();
  /** Connections whose first request waits for a turn of the event loop. */
  readonly #due: Socket[] = [];

  constructor(options: RequestTurnsOptions) {
    this.#options = options;
  }

  get idle(): boolean {
    return this.#lines.size === 0;
  }

  /** Serves the request when it is its turn. A connection on which more than `MAX_PIPELINED` wait is closed. */
  add(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const line = this.#lines.get(socket);
    if (!line) {
      this.#lines.set(socket, [{ request, response }]);
      this.#wait(socket);
    } else if (line.length <= MAX_PIPELINED) line.push({ request, response });
    else socket.destroy();
  }

  #wait(socket: Socket): void {
    this.#due.push(socket);
    if (this.#due.length === 1) setImmediate(() => this.#beginNext());
  }

  #beginNext(): void {
    const socket = this.#due.shift();
    if (this.#due.length > 0) setImmediate(() => this.#beginNext());
    if (socket) this.#begin(socket);
  }

  #begin(socket: Socket): void {
    const [first] = this.#lines.get(socket) ?? [];
    if (!first || !socket.writable) {
      this.#end(socket);
      return;
    }
    const { request, response } = first;
    response.once('close', () => {
      const line = this.#lines.get(socket);
      line?.shift();
      if (line?.length) this.#wait(socket);
      else this.#end(socket);
    });
    this.#options.serve(request, response);
  }

  #end(socket: Socket): void {
    this.#lines.delete(socket);
    if (this.idle) this.#options.onIdle();
  }
}
