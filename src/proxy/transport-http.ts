/**
 * The transport on node:http, in front and behind. The parser refuses most malformed requests, `request-head.ts` the rest;
 * each request that passes becomes an `Exchange`.
 */
import { createServer, ServerResponse } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { PlatformError } from '../errors.ts';
import { BufferSweep } from './buffer-sweep.ts';
import { ClientConnection } from './client-connection.ts';
import { countError } from './counters.ts';
import type { ProxyCounters } from './counters.ts';
import type { Peer } from './doors/peer.ts';
import { rawErrorAnswer } from './error-answer.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeContext, UpgradeOffer } from './exchange-context.ts';
import { clientFailure } from './failures.ts';
import { hasToken } from './forward-headers.ts';
import { HttpNote } from './http-note.ts';
import type { LatencyHistogram } from './latency.ts';
import { readRequestHead } from './request-head.ts';
import type { Transport, TransportOptions } from './transport.ts';

export class HttpTransport implements Transport {
  readonly counters: ProxyCounters;
  readonly latency: LatencyHistogram;
  readonly #options: TransportOptions;
  readonly #context: ExchangeContext;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, ClientConnection>();
  #open = 0;
  #accepts = false;
  #closing = false;
  #closed: Promise<void> | undefined;
  #onIdle: (() => void)[] = [];

  constructor(options: TransportOptions) {
    this.#options = options;
    this.counters = options.counters;
    this.latency = options.latency;
    this.#context = {
      ...options,
      sweep: new BufferSweep(),
      closing: () => this.#closing,
    };
    this.#server = this.#createServer();
  }

  /** What came before on the connection may have been answered by another transport. */
  accept(socket: Socket, peer: Peer): void {
    // Otherwise begun by `listen`: node:http then looks after heads that do not come to their end.
    if (!this.#accepts) this.#server.emit('listening');
    this.#accepts = true;
    socket.setNoDelay(true);
    this.#connections.set(socket, new ClientConnection(socket, peer));
    // What is past is counted already.
    const { bytesRead, bytesWritten } = socket;
    socket.once('close', () => {
      this.#connections.delete(socket);
      this.counters.receivedBytes += socket.bytesRead - bytesRead;
      this.counters.sentBytes += socket.bytesWritten - bytesWritten;
    });
    // Node would have the last answer followed by a reset, if more of the client's bytes are on the way.
    socket.destroySoon = () => this.#closeGently(socket);
    this.#server.emit('connection', socket);
    if (socket instanceof TLSSocket) readAsStream(socket);
  }

  retire(containerId: string): void {
    this.#options.pool.retire(containerId);
  }

  closeAfterNext(): void {
    this.#closing = true;
  }

  async drain(): Promise<void> {
    void this.#stop();
    await this.#idle();
  }

  async close(): Promise<void> {
    const closed = this.#stop();
    for (const { socket } of this.#connections.values()) socket.destroySoon();
    // An answer that a client does not take would keep its connection: what has not left by now does not.
    await new Promise((resolve) => setImmediate(resolve));
    for (const connection of this.#connections.values()) connection.abort();
    await closed;
    await this.#idle();
  }

  async #idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #stop(): Promise<void> {
    this.#closing = true;
    // Closes idle connections as well; busy ones are told to close with their answer.
    this.#closed ??= new Promise((resolve) => this.#server.close(() => resolve()));
    return this.#closed;
  }

  #createServer(): Server {
    const { limits } = this.#options;
    const server = createServer({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: 0, // an upload may take as long as it makes progress
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: Math.max(10, Math.min(1_000, limits.headersTimeoutMs / 4)),
      requireHostHeader: false, // checked, with our own answer
      insecureHTTPParser: false,
      noDelay: true,
      shouldUpgradeCallback: isWebSocketHandshake,
    });
    // With a limit, fields beyond it are dropped without a word, and we would judge less than we forward.
    server.maxHeadersCount = 0;
    server.on('request', (req, res) => this.#begin(req, res));
    server.on('checkContinue', (req, res) => this.#begin(req, res));
    server.on('checkExpectation', (req, res) => this.#begin(req, res));
    server.on('upgrade', (req, _stream, early) => this.#beginUpgrade(req, early));
    server.on('connect', ({ socket }) => {
      const connection = this.#connections.get(socket);
      const failure = new PlatformError('bad_request', 'there is no CONNECT here');
      if (connection === undefined) socket.destroy();
      else this.#answerInTurn(connection, failure);
    });
    server.on('clientError', (error, stream) => this.#clientError(error, stream));
    return server;
  }

  #begin(req: IncomingMessage, res: ServerResponse): void {
    const connection = this.#connections.get(req.socket);
    if (connection === undefined || connection.last) return;
    this.#start(connection, req, res, undefined);
  }

  /** The socket is no longer the parser's; the answer, should it not be 101, is written by a response of our own. */
  #beginUpgrade(req: IncomingMessage, early: Buffer): void {
    const { socket } = req;
    const connection = this.#connections.get(socket);
    socket.on('error', () => undefined); // 'close' follows
    if (connection === undefined || connection.last || connection.exchanges.size > 0) {
      // Behind other requests whose answers are still to come, it cannot be answered in turn.
      socket.destroy();
      return;
    }
    connection.last = true;
    const res = new ServerResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket);
    const onDrain = () => res.emit('drain');
    // A client that gives up while it waits is noticed although nobody reads from it.
    const onReadable = () => void socket.read(0);
    const onEnd = () => socket.destroy();
    socket.on('drain', onDrain).on('readable', onReadable).on('end', onEnd);
    const take = () => {
      socket.off('drain', onDrain).off('readable', onReadable).off('end', onEnd);
      res.detachSocket(socket);
      Reflect.deleteProperty(socket, 'destroySoon');
      return socket;
    };
    res.once('finish', () => {
      take();
      res.emit('close');
      this.#closeGently(socket);
    });
    this.#start(connection, req, res, { early, take });
  }

  #start(
    connection: ClientConnection,
    req: IncomingMessage,
    res: ServerResponse,
    upgrade: UpgradeOffer | undefined,
  ): void {
    this.#open++;
    const { clock, limits } = this.#options;
    const { method = '', url = '', httpVersion: version, rawHeaders } = req;
    const startedMs = clock.monotonicMs();
    new Exchange({
      context: this.#context,
      way: connection,
      req,
      res,
      readHead: () => readRequestHead({ method, target: url, version, rawHeaders }, limits),
      upgrade,
      onEnd: () => {
        this.latency.record(clock.monotonicMs() - startedMs);
        if (--this.#open > 0) return;
        for (const resolve of this.#onIdle.splice(0)) resolve();
      },
    }).start();
  }

  #clientError(error: Error, stream: Duplex): void {
    const connection = this.#connections.get(stream);
    const failure = clientFailure(error);
    // One that was opened ahead of need, and not used, needs no answer.
    const silent = connection?.socket.bytesRead === 0;
    if (connection === undefined || failure === undefined || silent || !stream.writable) stream.destroy();
    else this.#answerInTurn(connection, failure);
  }

  /** What has come is no request: it is answered if nothing else is to be answered first, and is the last in any case. */
  #answerInTurn(connection: ClientConnection, failure: PlatformError): void {
    if (connection.last) return; // its last answer is on the way; what else it says does not matter
    if (connection.mayAnswerNow) this.#answerRaw(connection.socket, failure);
    else if (connection.allReceived) connection.closeWhenDone();
    else connection.socket.destroy();
  }

  #answerRaw(socket: Socket, error: PlatformError): void {
    const { clock, requestLog } = this.#options;
    const connection = this.#connections.get(socket);
    if (connection !== undefined) connection.last = true;
    countError(this.counters, error);
    socket.write(rawErrorAnswer(error));
    this.#closeGently(socket);
    if (requestLog !== undefined && connection !== undefined)
      new HttpNote(requestLog, connection).refused(error.code, error.status, clock.monotonicMs());
  }

  /**
   * After what is written. What still arrives is read and dropped for a moment: closing on it would reset the connection, and
   * a client that is still sending would lose the answer (RFC 9112 §9.6).
   */
  #closeGently(socket: Socket): void {
    // Once is enough.
    socket.destroySoon = () => undefined;
    if (socket.destroyed) return;
    const { clock, limits } = this.#options;
    const close = () => Socket.prototype.destroySoon.call(socket);
    socket.on('error', () => undefined);
    if (socket.readableEnded) {
      close();
      return;
    }
    socket.removeAllListeners('data');
    socket.on('data', () => undefined);
    socket.once('end', close);
    socket.end(() =>
      socket.once(
        'close',
        clock.after(limits.lingerMs, () => socket.destroy()),
      ),
    );
  }
}

/**
 * Node's parser reads TLS past the stream, and goes on to be given what is decrypted already when it has been paused because too
 * many answers wait: that breaks the connection. Whoever listens for 'data' has it read the stream, which keeps to its pauses.
 */
function readAsStream(socket: TLSSocket): void {
  const listener = () => undefined;
  socket.on('data', listener).off('data', listener);
}

/**
 * RFC 6455 §4.1. Any other protocol is served without the upgrade: `h2c` would carry requests past every check made here.
 */
function isWebSocketHandshake(req: IncomingMessage): boolean {
  const { headers } = req;
  return (
    req.method === 'GET' &&
    req.httpVersion === '1.1' &&
    hasToken(headers.upgrade ?? '', 'websocket') &&
    headers['transfer-encoding'] === undefined &&
    (headers['content-length'] ?? '0') === '0'
  );
}
