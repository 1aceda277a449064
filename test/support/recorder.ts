/**
 * An app that notes every byte it is sent, connection by connection, and answers as Node's own server does: what a proxy passes
 * on is read by a parser that is not ours, in its strict mode, and what that refuses is remembered.
 */
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import type { Endpoint } from '../../src/proxy/control-plane.ts';
import type { SeenRequest } from '../fuzz/http1-node.ts';
import { until } from './until.ts';
import { rawUpstream } from './upstreams.ts';
import type { Upstream } from './upstreams.ts';

const MAX_HEADER_BYTES = 256 * 1024;
/** What the parser says of a message that has not come to its end. */
const UNFINISHED = new Set(['HPE_INVALID_EOF_STATE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE']);

export interface RecordedRequest extends SeenRequest {
  /** Counted over all connections; its answer, if it had one, says it. */
  readonly number: number;
}

/** One connection of a proxy. */
export interface RecordedConnection {
  /** All that came, latin1. */
  readonly bytes: string;
  /** What it was read as, in order. */
  readonly requests: readonly RecordedRequest[];
  /** The parser's code where it refused something. */
  readonly refused: string | undefined;
}

interface Live {
  readonly parts: Buffer[];
  readonly reads: Promise<RecordedRequest>[];
  refused: string | undefined;
}

export class Recorder implements AsyncDisposable {
  readonly #server: HttpServer;
  readonly #live = new Map<object, Live>();
  #connections: Live[] = [];
  #numbers = 0;
  #upstream: Upstream | undefined;

  static async open(): Promise<Recorder> {
    const recorder = new Recorder();
    recorder.#upstream = await rawUpstream((socket) => recorder.#accept(socket));
    return recorder;
  }

  private constructor() {
    this.#server = createHttpServer({
      insecureHTTPParser: false,
      requireHostHeader: false, // which is not for the parser to say
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: 60_000,
    });
    this.#server.maxHeadersCount = 0;
    this.#server.on('request', this.#answer).on('checkExpectation', this.#answer);
    this.#server.on('checkContinue', (message, answer) => {
      answer.writeContinue();
      this.#answer(message, answer);
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, stream: Duplex) => {
      const live = this.#live.get(stream);
      const { code = error.message } = error;
      if (live !== undefined && !UNFINISHED.has(code)) live.refused ??= code;
      stream.destroy();
    });
  }

  get port(): number {
    return this.#open.port;
  }

  get endpoint(): Endpoint {
    return this.#open.endpoint;
  }

  get #open(): Upstream {
    if (this.#upstream === undefined) throw new Error('the recorder is not open');
    return this.#upstream;
  }

  /** What has come since the last time, on all connections in the order of their beginnings; they are closed. */
  async take(): Promise<RecordedConnection[]> {
    const { sockets } = this.#open;
    for (const socket of sockets) socket.destroy();
    await until('the recorded connections to close', () => sockets.size === 0);
    const taken = this.#connections;
    this.#connections = [];
    return Promise.all(
      taken.map(async ({ parts, reads, refused }) => ({
        bytes: Buffer.concat(parts).toString('latin1'),
        requests: await Promise.all(reads),
        refused,
      })),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.close();
  }

  #accept(socket: Socket): void {
    const [near, far] = duplexPair();
    const live: Live = { parts: [], reads: [], refused: undefined };
    this.#connections.push(live);
    this.#live.set(far, live);
    this.#server.emit('connection', far);
    socket.on('data', (data: Buffer) => {
      live.parts.push(data);
      near.write(data);
    });
    socket.on('end', () => near.end());
    near.on('data', (data: Buffer) => socket.write(data)).on('end', () => socket.end());
    for (const one of [near, far]) one.on('error', () => socket.destroy());
    far.on('close', () => socket.destroySoon());
    socket.on('close', () => {
      this.#live.delete(far);
      far.destroy();
      near.destroy();
    });
  }

  readonly #answer = (message: IncomingMessage, answer: ServerResponse): void => {
    const { method = '', url: target = '', headers } = message;
    const number = ++this.#numbers;
    const read = readAll(message).then((body) => {
      const text = `${number}\n`;
      if (body.whole) answer.writeHead(200, { 'X-Seen': number, 'Content-Length': text.length }).end(text);
      return { number, method, target, host: headers.host, ...body };
    });
    this.#live.get(message.socket)?.reads.push(read);
  };
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
