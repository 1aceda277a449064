/** One request of an HTTP/2 connection, as an exchange wants to see it: its request, its answer, and the way to its client. */
import type { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { constants } from 'node:http2';
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { ArrivedRequest, ClientWay, OpenExchange, OutgoingAnswer } from '../client-side.ts';
import type { ProxyCounters } from '../counters.ts';
import type { Peer } from '../doors/peer.ts';
import type { TransportLimits } from '../limits.ts';
import { readRequestHead } from '../request-head.ts';
import type { RequestHead } from '../request-head.ts';
import { toHttp1 } from './request-head.ts';

const { NGHTTP2_NO_ERROR } = constants;

/** Node ends their streams with the head. */
const BODILESS = new Set([204, 205, 304]);

/** One head for each stream that a connection may have. */
const ENOUGH_FRAMES = 128;

/** Of any event, as emitters take it. */
export type Listener = Parameters<EventEmitter['on']>[1];

/** Bytes of bodies; heads are compressed together with those of other requests. */
export class Traffic {
  receivedBytes = 0;
  sentBytes = 0;
}

export class StreamRequest implements ArrivedRequest {
  readonly httpVersion = '2.0';
  readonly headers: IncomingHttpHeaders;
  /** In the terms of HTTP/1.1 once the head has been read. */
  rawHeaders: readonly string[];
  rawTrailers: readonly string[] = [];
  complete: boolean;
  readonly #stream: ServerHttp2Stream;
  readonly #count: (chunk: Buffer) => void;
  /** What is called instead of a listener for the end. */
  readonly #guarded = new Map<Listener, Listener>();

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    traffic: Traffic,
  ) {
    this.#stream = stream;
    this.headers = headers;
    this.rawHeaders = rawHeaders;
    this.complete = stream.endAfterHeaders;
    this.#count = (chunk) => (traffic.receivedBytes += chunk.length);
    stream.once('end', () => (this.complete ||= !stream.aborted));
    stream.on('trailers', (_trailers, _flags, rawTrailers: readonly string[] = []) => {
      this.rawTrailers = rawTrailers;
    });
  }

  get method(): string {
    return pseudo(this.headers, ':method');
  }

  get url(): string {
    return pseudo(this.headers, ':path');
  }

  /** Errors: as `toHttp1` and `readRequestHead`. */
  readHead(limits: TransportLimits): RequestHead {
    const request = toHttp1({ rawHeaders: this.rawHeaders, ends: this.#stream.endAfterHeaders }, limits);
    this.rawHeaders = request.rawHeaders;
    return readRequestHead(request, limits);
  }

  on(event: string, listener: Listener): unknown {
    if (event === 'data') this.#stream.on('data', this.#count);
    return this.#stream.on(event, listener);
  }

  /** A body without a byte ends before anybody has asked for it. */
  once(event: string, listener: Listener): unknown {
    if (event !== 'end') return this.#stream.once(event, listener);
    // Node ends what a client has reset, or left, as if it were whole.
    if (this.#stream.aborted) return undefined;
    if (this.#stream.readableEnded) process.nextTick(listener);
    const unlessAborted = () => {
      if (!this.#stream.aborted) listener();
    };
    this.#guarded.set(listener, unlessAborted);
    return this.#stream.once('end', unlessAborted);
  }

  off(event: string, listener: Listener): unknown {
    if (event === 'data') this.#stream.off('data', this.#count);
    return this.#stream.off(event, this.#guarded.get(listener) ?? listener);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }
}

export class StreamAnswer implements OutgoingAnswer {
  readonly chunkedEncoding = true;
  readonly writableHighWaterMark = ENOUGH_FRAMES;
  sendDate = true;
  shouldKeepAlive = true;
  readonly #stream: ServerHttp2Stream;
  readonly #request: StreamRequest;
  readonly #traffic: Traffic;
  /** Not sent yet: what comes of the body at once goes with it, and where none comes, it ends the stream. */
  #head: OutgoingHttpHeaders | undefined;
  #trailers: OutgoingHttpHeaders | undefined;
  #ended = false;
  #waitsForTrailers = false;

  constructor(stream: ServerHttp2Stream, request: StreamRequest, traffic: Traffic) {
    this.#stream = stream;
    this.#request = request;
    this.#traffic = traffic;
    // RFC 9113 §8.1: the answer has left, and nobody will read the rest of the request.
    const stop = () => {
      if (!request.complete && !stream.destroyed) stream.close(NGHTTP2_NO_ERROR);
    };
    stream.once('wantTrailers', () => {
      if (!this.#isOpen()) return;
      this.#orBreak(() => stream.sendTrailers(this.#trailers ?? {}));
      // Their end of the stream leaves first.
      setImmediate(stop);
    });
    stream.once('finish', () => {
      if (!this.#waitsForTrailers) stop();
    });
  }

  get writableFinished(): boolean {
    // A stream that the client resets counts as finished too.
    return this.#ended && this.#stream.writableFinished;
  }

  /** Frames of the connection that wait to be sent; bodies wait elsewhere. */
  get writableLength(): number {
    return this.#stream.session?.state.outboundQueueSize ?? 0;
  }

  get destroyed(): boolean {
    return this.#stream.destroyed;
  }

  writeHead(status: number, _reason: string, headers: readonly string[]): void {
    if (status < 200 || status > 599) throw new RangeError(`HTTP/2 has no status ${status}`);
    this.#head = { ':status': status, ...grouped(headers) };
  }

  flushHeaders(): void {
    this.#respond(false);
  }

  write(chunk: Buffer): boolean {
    this.#respond(false);
    this.#traffic.sentBytes += chunk.length;
    return this.#isOpen() ? this.#stream.write(chunk) : true;
  }

  addTrailers(fields: readonly (readonly [string, string])[]): void {
    this.#trailers = grouped(fields.flat());
  }

  end(content?: Buffer): void {
    if (content !== undefined) this.write(content);
    this.#ended = true;
    this.#respond(this.#trailers === undefined);
    if (this.#isOpen()) this.#stream.end();
  }

  writeContinue(): void {
    this.writeInformation(100, []);
  }

  writeInformation(status: number, headers: readonly string[]): void {
    if (this.#isOpen() && !this.#stream.headersSent)
      this.#orBreak(() => this.#stream.additionalHeaders({ ':status': status, ...grouped(headers) }));
  }

  on(event: string, listener: Listener): unknown {
    return this.#stream.on(event, listener);
  }

  once(event: string, listener: Listener): unknown {
    return this.#stream.once(event, listener);
  }

  #isOpen(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed;
  }

  #respond(endStream: boolean): void {
    const head = this.#head;
    if (head === undefined || !this.#isOpen()) return;
    this.#head = undefined;
    // An announced length is an answer without trailers over HTTP/1.1 too; without one, they may come.
    const waitForTrailers = !endStream && head['content-length'] === undefined;
    const hasBody = this.#request.method !== 'HEAD' && !BODILESS.has(Number(head[':status']));
    this.#waitsForTrailers = waitForTrailers && hasBody;
    this.#orBreak(() => this.#stream.respond(head, { endStream, waitForTrailers }));
  }

  /** Where Node takes a field of the app's for no HTTP/2, that is a broken answer, and no more than that. */
  #orBreak(send: () => void): void {
    try {
      send();
    } catch {
      breakOff(this.#stream);
    }
  }
}

export class StreamWay implements ClientWay {
  readonly peer: Peer;
  last = false;
  readonly traffic = new Traffic();
  readonly #stream: ServerHttp2Stream;
  readonly #counters: ProxyCounters;
  #exchange: OpenExchange | undefined;

  constructor(stream: ServerHttp2Stream, peer: Peer, counters: ProxyCounters) {
    this.#stream = stream;
    this.peer = peer;
    this.#counters = counters;
  }

  add(exchange: OpenExchange): void {
    this.#exchange = exchange;
  }

  remove(): void {
    this.#exchange = undefined;
    this.#counters.receivedBytes += this.traffic.receivedBytes;
    this.#counters.sentBytes += this.traffic.sentBytes;
  }

  cut(): void {
    breakOff(this.#stream);
  }

  reset(): void {
    this.cut();
  }

  /** Both sides are broken off. */
  abort(): void {
    this.#exchange?.abort();
    this.cut();
  }

  /** Asked once, when the exchange is over. */
  sinceLast(): Traffic {
    return this.traffic;
  }
}

/** With INTERNAL_ERROR. Closed with a code, it would end first: what has been sent would pass for all there is. */
function breakOff(stream: ServerHttp2Stream): void {
  stream.destroy(new Error('the answer breaks off'));
}

function pseudo(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : '';
}

/** Fields in lower case, the values of those that are repeated in a list. */
export function grouped(fields: readonly string[]): OutgoingHttpHeaders {
  const headers = Object.create(null) as Record<string, string | string[]>;
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] ?? '').toLowerCase();
    const value = fields[i + 1] ?? '';
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}
