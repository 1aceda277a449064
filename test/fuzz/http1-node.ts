/**
 * Node's own HTTP parser as the second reader: what we pass on must mean to it what it means to us. It is asked over streams
 * in memory, in its strict mode.
 */
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';

/** Turns of the event loop in which everything in memory is read; and in which answers are given as well. */
const TURNS = 4;
const MAX_TURNS = 1000;
const MAX_HEADER_BYTES = 256 * 1024;
const SENTINEL = 'GET /sentinel HTTP/1.1\r\nHost: sentinel.test\r\nConnection: close\r\n\r\n';

export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string | undefined;
  readonly body: string;
  /** It has been read to its end. */
  readonly whole: boolean;
}

export interface SeenResponse {
  readonly status: number;
  readonly body: string;
  readonly whole: boolean;
}

async function readAll(message: IncomingMessage): Promise<{ body: string; whole: boolean }> {
  let body = '';
  message.setEncoding('latin1');
  try {
    for await (const piece of message) body += piece as string;
  } catch {
    return { body, whole: false };
  }
  return { body, whole: message.complete };
}

/** A server without a socket. It remembers what it has seen on each connection. */
export class NodeServer {
  readonly #server: Server;
  readonly #seen = new WeakMap<object, Promise<SeenRequest>[]>();

  constructor() {
    this.#server = createServer({ insecureHTTPParser: false, maxHeaderSize: MAX_HEADER_BYTES });
    this.#server.maxHeadersCount = 0;
    for (const event of ['request', 'checkContinue', 'checkExpectation'] as const)
      this.#server.on(event, (message, answer) => {
        this.#seen.get(message.socket)?.push(
          readAll(message).then((read) => {
            answer.end();
            const { method = '', url = '', headers } = message;
            return { method, target: url, host: headers.host, ...read };
          }),
        );
      });
    // Refused: the connection closes, and what was seen is all there is.
    this.#server.on('clientError', (_error, stream: Duplex) => stream.destroy());
  }

  /**
   * What it takes the bytes (latin1) for. With `more`, another request is put behind them, and is the last one seen if they
   * end where we think they do.
   */
  async read(bytes: string, more: boolean): Promise<SeenRequest[]> {
    const [client, server] = duplexPair();
    const seen: Promise<SeenRequest>[] = [];
    this.#seen.set(server, seen);
    this.#server.emit('connection', server);
    const answers = { over: false };
    client.resume();
    client.on('end', () => (answers.over = true));
    client.on('error', () => undefined);
    client.write(Buffer.from(more ? bytes + SENTINEL : bytes, 'latin1'));
    // All of it is in memory: what is not read when the event loop has come round so often will not be.
    for (let turn = 0; turn < (more ? MAX_TURNS : TURNS) && !answers.over; turn++) await setImmediate();
    client.destroy();
    server.destroy();
    return Promise.all(seen);
  }
}

/** What Node's client takes the bytes (latin1) for, as the answer to a request of this method. Undefined: it refuses them. */
export function readAsNodeClient(method: string, bytes: string): Promise<SeenResponse | undefined> {
  const [client, server] = duplexPair();
  server.resume();
  return new Promise((resolve) => {
    const asked = request({
      method,
      path: '/',
      host: '127.0.0.1',
      createConnection: () => client,
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
    });
    asked.on('error', () => resolve(undefined));
    asked.on('upgrade', ({ statusCode: status = 0 }, stream) => {
      stream.destroy();
      resolve(status === 101 ? undefined : { status, body: '', whole: true });
    });
    asked.on('response', (answer) => {
      void readAll(answer).then((read) => resolve({ status: answer.statusCode ?? 0, ...read }));
    });
    asked.end();
    server.end(Buffer.from(bytes, 'latin1'));
  });
}
