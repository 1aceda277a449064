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

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_FLAG_END_STREAM, NGHTTP2_STREAM_CLOSED } = constants;
/** What 'socket' tells: there is nothing more to wait for. */
const CONNECTED = { connecting: false, once: () => undefined };

type Done = (error?: Error | null) => void;

export class H2cRequest extends Writable implements OutgoingRequest {
  readonly reusedSocket: boolean;
  readonly #connection: H2cConnection;
  readonly #headers: OutgoingHttpHeaders;
  readonly #hasBody: boolean;
  #stream: ClientHttp2Stream | undefined;
  #trailers: OutgoingHttpHeaders = {};

  constructor(connection: H2cConnection, headers: OutgoingHttpHeaders, hasBody: boolean) {
    super({ autoDestroy: false, emitClose: true });
    this.reusedSocket = connection.used;
    this.#connection = connection;
    this.#headers = headers;
    this.#hasBody = hasBody;
    connection.take((error) => {
      if (this.destroyed) return;
      if (error === undefined) this.#begin();
      else this.destroy(error);
    });
  }

  flushHeaders(): void {
    // They go with the stream's beginning.
  }

  addTrailers(fields: readonly (readonly [string, string])[]): void {
    this.#trailers = grouped(fields.flat());
  }

  #begin(): void {
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
    stream.once('close', () => this.destroy(failure ?? resetBy(stream)));
    stream.once('wantTrailers', () => {
      if (!stream.destroyed) stream.sendTrailers(this.#trailers);
    });
    stream.on('headers', (headers, _flags, rawHeaders: string[]) => {
      this.emit('information', { statusCode: headers[':status'], rawHeaders: regular(rawHeaders) });
    });
    stream.once('response', (headers, flags, rawHeaders: string[]) => {
      this.emit('response', new H2cAnswer(stream, headers, rawHeaders, flags));
    });
    this.emit('socket', CONNECTED);
  }

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    // It is written to only after 'socket'; what comes after the stream's end is nobody's.
    if (this.#stream === undefined || this.#stream.destroyed || this.#stream.closed) done();
    else this.#stream.write(chunk, done);
  }

  override _final(done: Done): void {
    if (this.#hasBody && this.#stream !== undefined) this.#stream.end(() => done());
    else done();
  }

  override _destroy(error: Error | null, done: Done): void {
    const stream = this.#stream;
    // Cancelled after its answer is over, a stream ends the process: Node asks it for trailers when it is gone. With no error at all the
    // app would take what it has of the upload for all of it.
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
    stream.once('end', () => {
      this.#ended ||= stream.rstCode === NGHTTP2_NO_ERROR && !stream.aborted;
    });
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
