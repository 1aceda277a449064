/**
 * A request on a stream of HTTP/2, with the face of one of node:http: an attempt makes no difference between the two. Its end
 * is the stream's: 'close' comes when both directions are over, or broken.
 */
import { constants } from 'node:http2';
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { Writable } from 'node:stream';
import type { OutgoingRequest, UpstreamAnswer } from '../upstream-side.ts';
import type { H2cConnection } from './h2c-pool.ts';
import { grouped } from './stream-way.ts';
import type { Listener } from './stream-way.ts';

const {
  NGHTTP2_CANCEL,
  NGHTTP2_FLAG_END_STREAM,
  NGHTTP2_NO_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_STREAM_CLOSED,
} = constants;
/** What 'socket' tells: there is nothing more to wait for. */
const CONNECTED = { connecting: false, once: () => undefined };

type Done = (error?: Error | null) => void;

export class H2cRequest extends Writable implements OutgoingRequest {
  /** As over HTTP/1.1, the container may never have seen it. */
  reusedSocket: boolean;
  readonly #connection: H2cConnection;
  readonly #headers: OutgoingHttpHeaders;
  readonly #hasBody: boolean;
  #stream: ClientHttp2Stream | undefined;
  #trailers: OutgoingHttpHeaders = {};
  /** What is written before there is a stream. */
  #held: (() => void) | undefined;

  constructor(connection: H2cConnection, headers: OutgoingHttpHeaders, hasBody: boolean) {
    super({ autoDestroy: false, emitClose: true });
    this.reusedSocket = connection.used;
    this.#connection = connection;
    this.#headers = headers;
    this.#hasBody = hasBody;
    connection.take();
    const fail = (error: Error) => this.destroy(error);
    connection.connected.then(() => this.emit('socket', CONNECTED), fail);
    connection.greeted.then(() => this.#begin(), fail);
  }

  flushHeaders(): void {
    // They go with the stream's beginning.
  }

  addTrailers(fields: readonly (readonly [string, string])[]): void {
    this.#trailers = grouped(fields.flat());
  }

  #begin(): void {
    if (this.destroyed) return;
    let stream: ClientHttp2Stream;
    try {
      stream = this.#connection.begin(this.#headers, this.#hasBody);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    this.#stream = stream;
    let failure: Error | undefined;
    stream.on('error', (error) => (failure = error));
    stream.once('close', () => {
      // What the container resets it has seen, unless it says that it has not (RFC 9113 §8.7).
      if (stream.rstCode === NGHTTP2_REFUSED_STREAM) this.reusedSocket = true;
      else if (!this.#connection.broken) this.reusedSocket = false;
      this.destroy(failure ?? resetBy(stream));
    });
    stream.once('wantTrailers', () => {
      if (!stream.destroyed) stream.sendTrailers(this.#trailers);
    });
    stream.on('headers', (headers, _flags, rawHeaders: string[]) => {
      this.emit('information', { statusCode: headers[':status'], rawHeaders: regular(rawHeaders) });
    });
    stream.once('response', (headers, flags, rawHeaders: string[]) => {
      this.emit('response', new H2cAnswer(stream, headers, rawHeaders, flags));
    });
    this.#held?.();
  }

  override _write(chunk: Buffer, encoding: string, done: Done): void {
    const stream = this.#stream;
    if (stream === undefined) this.#held = () => this._write(chunk, encoding, done);
    else if (stream.destroyed || stream.closed)
      done(); // what comes after the stream's end is nobody's
    else stream.write(chunk, done);
  }

  override _final(done: Done): void {
    if (!this.#hasBody) done();
    else if (this.#stream === undefined) this.#held = () => this._final(done);
    else this.#stream.end(() => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    const stream = this.#stream;
    // Cancelled after its answer is over, a stream ends the process: Node asks it for trailers when it is gone. With no
    // error at all the app would take what it has of the upload for all of it.
    const isAnswered = stream?.readableEnded === true && !this.writableFinished;
    stream?.close(isAnswered ? NGHTTP2_STREAM_CLOSED : NGHTTP2_CANCEL);
    this.#connection.give();
    done(error);
  }
}

class H2cAnswer implements UpstreamAnswer {
  readonly httpVersion = '2.0';
  readonly statusMessage = '';
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
  rawTrailers: readonly string[] = [];
  readonly #stream: ClientHttp2Stream;
  #ended: boolean;

  constructor(
    stream: ClientHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    flags: number,
  ) {
    this.#stream = stream;
    this.headers = headers;
    this.rawHeaders = regular(rawHeaders);
    this.#ended = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.on('trailers', (_trailers, _flags, rawTrailers: readonly string[] = []) => {
      this.#ended = true;
      this.rawTrailers = rawTrailers;
    });
    // Node ends the answer of a stream that is reset with NO_ERROR as if it were whole, but only then.
    const push = stream.push.bind(stream);
    stream.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
      this.#ended ||= chunk === null && !stream.closed;
      return push(chunk, encoding);
    };
  }

  get statusCode(): number {
    return Number((this.headers as Record<string, unknown>)[':status']);
  }

  get complete(): boolean {
    return this.#ended;
  }

  on(event: string, listener: Listener): unknown {
    return this.#stream.on(event, listener);
  }

  once(event: string, listener: Listener): unknown {
    return this.#stream.once(event, listener);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  destroy(): void {
    this.#stream.close(NGHTTP2_CANCEL);
  }
}

/** Without pseudo-header fields. */
function regular(rawHeaders: readonly string[]): string[] {
  const fields: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.startsWith(':') === false) fields.push(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  return fields;
}

function resetBy({ rstCode }: ClientHttp2Stream): Error | undefined {
  return rstCode === NGHTTP2_NO_ERROR
    ? undefined
    : new Error(`the container reset the stream with code ${rstCode}`);
}
