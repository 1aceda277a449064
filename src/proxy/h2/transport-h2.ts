/**
 * The transport for clients that speak HTTP/2, over TLS or from the first byte of a plain connection. Each stream is an
 * `Exchange` like the requests of node:http: the same routes, admission, retries, deadlines, counters and log.
 */
import { performServerHandshake } from 'node:http2';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream, ServerOptions } from 'node:http2';
import type { Socket } from 'node:net';
import { BufferSweep } from '../buffer-sweep.ts';
import type { ProxyCounters } from '../counters.ts';
import type { Peer } from '../doors/peer.ts';
import { Exchange } from '../exchange.ts';
import type { ExchangeContext } from '../exchange-context.ts';
import { DEFAULT_RESPONSE_HEAD_LIMITS } from '../http1/limits.ts';
import type { LatencyHistogram } from '../latency.ts';
import { STREAM_WINDOW_BYTES } from '../limits.ts';
import type { TransportLimits } from '../limits.ts';
import { StallWatch } from '../stall-watch.ts';
import type { Transport, TransportOptions } from '../transport.ts';
import { StreamAnswer, StreamRequest, StreamWay } from './stream-way.ts';

/** What a client may send on its connection before Node has taken some of it; what is kept of a body is bounded by its own window. */
const CONNECTION_WINDOW_BYTES = 1024 * 1024;
/** Streams that a client may reset at once, and per second after that; beyond, its connection is closed. */
const RESET_BURST = 500;
const RESETS_PER_SECOND = 50;
/** What HTTP/2 counts for a header field beside its letters (RFC 9113 §10.5.1). */
const FIELD_OVERHEAD_BYTES = 32;

interface Session {
  readonly socket: Socket;
  readonly http2: ServerHttp2Session;
  readonly ways: Set<StreamWay>;
  /** It has had a request. */
  used: boolean;
}

/** A request that has come. */
interface Begun {
  readonly session: Session;
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly peer: Peer;
  readonly ended: () => void;
}

export class H2Transport implements Transport {
  readonly counters: ProxyCounters;
  readonly latency: LatencyHistogram;
  readonly #options: TransportOptions;
  readonly #context: ExchangeContext;
  readonly #sessions = new Set<Session>();
  #open = 0;
  #closing = false;
  #onIdle: (() => void)[] = [];

  constructor(options: TransportOptions) {
    this.#options = options;
    this.counters = options.counters;
    this.latency = options.latency;
    this.#context = { ...options, sweep: new BufferSweep(), closing: () => this.#closing };
  }

  accept(socket: Socket, peer: Peer): void {
    const { clock, limits } = this.#options;
    socket.setNoDelay(true);
    const http2 = performServerHandshake(socket, sessionOptions(limits));
    const session: Session = { socket, http2, ways: new Set(), used: false };
    this.#sessions.add(session);
    http2.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    // A client's PING is no reason to keep its connection, nor is half a header section.
    const idle = new StallWatch(clock);
    idle.watch(limits.headersTimeoutMs, () => socket.destroy());
    http2.on('error', ignore); // whatever breaks also closes
    // Doors leave connections half open; a client of HTTP/2 that has ended its side has gone.
    socket.once('end', () => socket.destroy());
    // The session itself is not over before its last write is, which may be never.
    socket.once('close', () => {
      idle.close();
      this.#sessions.delete(session);
    });
    http2.on('stream', (stream, headers, _flags, rawHeaders: string[]) => {
      idle.rest();
      session.used = true;
      const ended = () => {
        if (session.ways.size === 0) idle.watch(limits.keepAliveMs, () => this.#bidFarewell(session));
      };
      this.#begin({ session, stream, headers, rawHeaders, peer, ended });
    });
    if (this.#closing) dismiss(session);
  }

  retire(containerId: string): void {
    this.#options.pool.retire(containerId);
  }

  closeAfterNext(): void {
    this.#closing = true;
    for (const session of this.#sessions) dismiss(session);
  }

  async drain(): Promise<void> {
    this.#closing = true;
    // GOAWAY: what is under way ends, and the client makes no further request here.
    for (const { http2 } of this.#sessions) http2.close();
    if (this.#open > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  async close(): Promise<void> {
    this.#closing = true;
    for (const { ways } of this.#sessions) for (const way of ways) way.abort();
    // What has been written still leaves.
    await new Promise((resolve) => setImmediate(resolve));
    for (const { http2 } of this.#sessions) http2.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    // A session whose last write the client does not take would never be over.
    for (const { socket } of this.#sessions) socket.destroy();
    await this.drain();
  }

  /** To a client that has nothing in flight. It may not take even that. */
  #bidFarewell({ http2, socket }: Session): void {
    const { clock, limits } = this.#options;
    http2.close();
    socket.once(
      'close',
      clock.after(limits.lingerMs, () => socket.destroy()),
    );
  }

  #begin({ session, stream, headers, rawHeaders, peer, ended }: Begun): void {
    const { clock, limits } = this.#options;
    const startedMs = clock.monotonicMs();
    const way = new StreamWay(stream, peer, this.counters);
    const req = new StreamRequest(stream, headers, rawHeaders, way.traffic);
    this.#open++;
    session.ways.add(way);
    new Exchange({
      context: this.#context,
      way,
      req,
      res: new StreamAnswer(stream, req, way.traffic),
      readHead: () => req.readHead(limits),
      onEnd: () => {
        session.ways.delete(way);
        ended();
        this.latency.record(clock.monotonicMs() - startedMs);
        if (--this.#open > 0) return;
        for (const resolve of this.#onIdle.splice(0)) resolve();
      },
    }).start();
  }
}

/**
 * GOAWAY: what is under way ends. It names the last request that is served, so a client knows of a later one that nobody has
 * seen it, and sends it elsewhere (RFC 9113 §6.8). Who has just come is served once first.
 */
function dismiss({ http2, used }: Session): void {
  if (used) http2.close();
  else http2.once('stream', () => http2.close());
}

function sessionOptions(limits: TransportLimits): ServerOptions {
  return {
    settings: {
      maxConcurrentStreams: limits.streams,
      initialWindowSize: STREAM_WINDOW_BYTES,
      // So much larger than ours that a header section which is somewhat too large is answered, not cut off.
      maxHeaderListSize: 4 * limits.headerBytes,
      enablePush: false,
    },
    maxHeaderListPairs: Math.ceil((4 * limits.headerBytes) / FIELD_OVERHEAD_BYTES),
    // Of an answer, with what nghttp2 reckons for each field: more than apps may say, or the stream would be reset instead.
    maxSendHeaderBlockLength: 2 * DEFAULT_RESPONSE_HEAD_LIMITS.headBytes,
    streamResetBurst: RESET_BURST,
    streamResetRate: RESETS_PER_SECOND,
    // What an app repeats is passed on as it is.
    strictSingleValueFields: false,
  };
}

function ignore(): void {
  // Whatever breaks also closes, and that is where it is dealt with.
}
