/**
 * Connections to containers that speak HTTP/2 without TLS (RFC 9113 §3.3). Many requests share one; there is a second where
 * the container takes no more of them at once. One without a request is closed after a while, and at once when its container
 * is taken out of use.
 */
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Clock } from '../../clock.ts';
import type { Endpoint } from '../control-plane.ts';
import { DEFAULT_RESPONSE_HEAD_LIMITS } from '../http1/limits.ts';
import { H2cRequest } from './h2c-request.ts';
import { grouped } from './stream-way.ts';

/** What an app may send of one answer, and of all on its connection, before a client has taken some of it. */
const STREAM_WINDOW_BYTES = 256 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
/** As for apps of HTTP/1.1, but that HTTP/2 counts 32 bytes more for each field (RFC 9113 §10.5.1). */
const { headBytes, fieldLines } = DEFAULT_RESPONSE_HEAD_LIMITS;
const SESSION_OPTIONS = {
  settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES, maxHeaderListSize: headBytes },
  // With the status; Node takes 128 unless told.
  maxHeaderListPairs: fieldLines + 1,
  // What a client repeats is passed on as it is.
  strictSingleValueFields: false,
};
/** Requests on one connection, where the container allows more. */
const MAX_STREAMS = 128;
/** What concerns one connection of HTTP/1.1, or is said by pseudo-header fields. */
const NOT_IN_HTTP2 = new Set(['connection', 'host', 'keep-alive', 'transfer-encoding', 'upgrade']);

export interface H2cOutgoing {
  readonly method: string;
  readonly path: string;
  /** Names and values in turn, in the terms of HTTP/1.1. */
  readonly headers: readonly string[];
  readonly hasBody: boolean;
  /** On a connection of its own that is closed afterwards. */
  readonly fresh: boolean;
}

export class H2cPool {
  readonly #clock: Clock;
  readonly #keepAliveMs: number;
  readonly #byContainer = new Map<string, H2cConnection[]>();

  constructor({ clock, keepAliveMs }: { readonly clock: Clock; readonly keepAliveMs: number }) {
    this.#clock = clock;
    this.#keepAliveMs = keepAliveMs;
  }

  /** Containers that there are connections to. */
  get size(): number {
    return this.#byContainer.size;
  }

  /** Begins a request; nothing is sent before its connection stands. */
  request(endpoint: Endpoint, { method, path, headers, hasBody, fresh }: H2cOutgoing): H2cRequest {
    const connection = (fresh ? undefined : this.#find(endpoint)) ?? this.#open(endpoint, fresh);
    return new H2cRequest(connection, toHttp2(method, path, headers), hasBody);
  }

  retire(containerId: string): void {
    const connections = this.#byContainer.get(containerId);
    this.#byContainer.delete(containerId);
    for (const connection of connections ?? []) connection.closeWhenDone();
  }

  close(): void {
    for (const containerId of [...this.#byContainer.keys()]) this.retire(containerId);
  }

  #find({ containerId, host, port }: Endpoint): H2cConnection | undefined {
    const known = this.#byContainer.get(containerId);
    if (known?.some((connection) => connection.host !== host || connection.port !== port) === true) {
      this.retire(containerId); // it is somewhere else now
      return undefined;
    }
    return known?.find((connection) => connection.hasRoom);
  }

  #open({ containerId, host, port }: Endpoint, once: boolean): H2cConnection {
    const connection = new H2cConnection({
      ...{ host, port, once },
      clock: this.#clock,
      keepAliveMs: once ? 0 : this.#keepAliveMs,
      onClosed: () => {
        const left = this.#byContainer.get(containerId)?.filter((one) => one !== connection) ?? [];
        if (left.length > 0) this.#byContainer.set(containerId, left);
        else this.#byContainer.delete(containerId);
      },
    });
    if (!once)
      this.#byContainer.set(containerId, [...(this.#byContainer.get(containerId) ?? []), connection]);
    return connection;
  }
}

interface H2cConnectionOptions {
  readonly host: string;
  readonly port: number;
  /** For one request. */
  readonly once: boolean;
  readonly clock: Clock;
  readonly keepAliveMs: number;
  readonly onClosed: () => void;
}

export class H2cConnection {
  readonly host: string;
  readonly port: number;
  /** It has carried a request before. */
  used = false;
  /** Rejects, as `greeted` does, where the connection does not come about or closes first. */
  readonly connected: Promise<undefined>;
  /** The container has said how many requests it takes at once: those that come before that, beyond it, it refuses. */
  readonly greeted: Promise<undefined>;
  readonly #options: H2cConnectionOptions;
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  #isGreeted = false;
  #requests = 0;
  #leaving = false;
  #error: Error | undefined;
  #cancelIdle: (() => void) | undefined;

  constructor(options: H2cConnectionOptions) {
    const { host, port } = options;
    this.host = host;
    this.port = port;
    this.#options = options;
    const socket = connect({ host, port, noDelay: true });
    const session = connectHttp2('http://app', { ...SESSION_OPTIONS, createConnection: () => socket });
    this.#socket = socket;
    this.#session = session;
    const connected = Promise.withResolvers<undefined>();
    const greeted = Promise.withResolvers<undefined>();
    this.connected = connected.promise;
    this.greeted = greeted.promise;
    session.once('connect', () => {
      // It says so a moment later: whoever wanted it may have gone by then.
      if (session.destroyed) return;
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      connected.resolve(undefined);
    });
    session.once('remoteSettings', () => {
      this.#isGreeted = true;
      greeted.resolve(undefined);
    });
    session.on('error', (error) => (this.#error = error)); // 'close' follows
    session.once('goaway', () => this.#leave());
    socket.once('close', () => {
      this.#leave();
      const error = this.#error ?? new Error('the connection closed');
      connected.reject(error);
      greeted.reject(error);
    });
  }

  /** It carries nothing any more. */
  get broken(): boolean {
    return this.#session.destroyed || this.#socket.destroyed;
  }

  get hasRoom(): boolean {
    if (this.#leaving || this.#session.closed || this.#session.destroyed) return false;
    const allowed = this.#isGreeted ? this.#session.remoteSettings.maxConcurrentStreams : MAX_STREAMS;
    return this.#requests < Math.min(MAX_STREAMS, allowed ?? MAX_STREAMS);
  }

  /** Takes a place on it until `give`. */
  take(): void {
    this.#requests++;
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
  }

  /** Throws where the session takes no further stream, or Node refuses a field. */
  begin(headers: OutgoingHttpHeaders, hasBody: boolean): ClientHttp2Stream {
    this.used = true;
    return this.#session.request(headers, { endStream: !hasBody, waitForTrailers: hasBody });
  }

  give(): void {
    if (--this.#requests > 0) return;
    const { clock, keepAliveMs, once } = this.#options;
    if (this.#leaving || once) this.closeWhenDone();
    else this.#cancelIdle = clock.after(keepAliveMs, () => this.closeWhenDone());
  }

  closeWhenDone(): void {
    this.#leave();
    if (this.#requests > 0) return;
    this.#session.destroy();
    // What has been written still leaves; but a session whose last write is not taken would never be over.
    setImmediate(() => this.#socket.destroy());
  }

  /** No further request goes on it. */
  #leave(): void {
    this.#cancelIdle?.();
    if (this.#leaving) return;
    this.#leaving = true;
    this.#options.onClosed();
  }
}

function toHttp2(method: string, path: string, headers: readonly string[]): OutgoingHttpHeaders {
  const fields: string[] = [];
  let authority = '';
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    if (name.toLowerCase() === 'host') authority = value;
    if (!NOT_IN_HTTP2.has(name.toLowerCase())) fields.push(name, value);
  }
  const target = { ':method': method, ':scheme': 'http', ':authority': authority, ':path': path };
  return { ...target, ...grouped(fields) };
}
