/** Every bound of the proxy in one place. Nothing in it waits, caches or queues without one of these. */

export interface DispatchLimits {
  /** Requests held by this proxy in all, whichever app they wait for; no app has more than is left for all others. */
  readonly holdRequests: number;
  /** What held requests may occupy in all, in bytes; the same. */
  readonly holdBytes: number;
  /** Requests whose host is being looked up. */
  readonly lookupRequests: number;
  /** What those may occupy, in bytes. */
  readonly lookupBytes: number;
  /** A request is held no longer than this; start time-outs of apps are shorter than it. */
  readonly holdTimeoutMs: number;
  /** Hosts whose app is remembered, each found by its own name. Half as many stay whatever else is asked for between. */
  readonly routeCacheSize: number;
  /** The same for hosts found by a wildcard, of which anybody can make up any number. */
  readonly wildcardCacheSize: number;
  /** Hosts remembered to have no app. */
  readonly negativeCacheSize: number;
  /** For how long that is believed if nobody says otherwise. */
  readonly negativeCacheTtlMs: number;
  /** How often the load of a busy app is told. */
  readonly observeEveryMs: number;
}

export const DEFAULT_DISPATCH_LIMITS: DispatchLimits = {
  holdRequests: 10_000,
  holdBytes: 256 * 1024 * 1024,
  lookupRequests: 10_000,
  lookupBytes: 64 * 1024 * 1024,
  holdTimeoutMs: 120_000,
  routeCacheSize: 2_000_000,
  wildcardCacheSize: 100_000,
  negativeCacheSize: 10_000,
  negativeCacheTtlMs: 10_000,
  observeEveryMs: 100,
};

export interface TransportLimits {
  /** Client connections at once; further ones are closed on accept. */
  readonly connections: number;
  /**
   * Of those, from one container; further ones are closed on accept. All containers together have half of `connections`, and of
   * that no container more than is left for the others.
   */
  readonly guestConnections: number;
  /** Requests at once on one connection of HTTP/2. */
  readonly streams: number;
  /** Request line and header section together; more is answered 431. */
  readonly headerBytes: number;
  /** The request target; more is answered 414. */
  readonly targetBytes: number;
  /** From a connection's first sign, or the previous answer's next request's first byte, to the end of its header section. */
  readonly headersTimeoutMs: number;
  /**
   * How long a client may neither send its body nor take its answer before it is cut off. Progress starts it anew: any byte of a
   * body, and of an answer that all is taken which waits for it. That may be 320 KiB (64 in its socket, and a read), so who
   * takes less than 3 KB/s for long is cut off.
   */
  readonly clientStallMs: number;
  /** How long an idle client connection is kept. */
  readonly keepAliveMs: number;
  /** To a container, on the same machine or the next. */
  readonly connectTimeoutMs: number;
  /** How long an idle connection to a container is kept: less than the 5 s after which many servers close theirs. */
  readonly upstreamKeepAliveMs: number;
  /** Idle connections kept per container. */
  readonly upstreamIdleConnections: number;
  /** How long the rest of a refused request is read, so that the refusal arrives before the connection closes. */
  readonly lingerMs: number;
  /** After one side of an upgraded connection has closed: how long the other may be silent. */
  readonly halfCloseMs: number;
}

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  connections: 20_000,
  guestConnections: 1_000,
  streams: 128,
  headerBytes: 16 * 1024,
  targetBytes: 8 * 1024,
  headersTimeoutMs: 20_000,
  clientStallMs: 120_000,
  keepAliveMs: 60_000,
  connectTimeoutMs: 3_000,
  upstreamKeepAliveMs: 4_000,
  upstreamIdleConnections: 256,
  lingerMs: 2_000,
  halfCloseMs: 30_000,
};

/** After a write to an app has failed: how long what it has said, which may be an answer, is awaited. */
export const LAST_WORDS_MS = 1_000;

/** What a client of HTTP/2 may send of one body before any of it has been passed on. */
export const STREAM_WINDOW_BYTES = 256 * 1024;

export type ProxyLimits = DispatchLimits & TransportLimits;
