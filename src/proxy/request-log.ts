/**
 * Who wants to know of every request: the access log. Transports offer each request once it is over; without a log they do
 * nothing for it, and nothing is copied or made a string before the log asks for it.
 */
import type { Lease } from './lease.ts';
import type { Span } from './span.ts';

/**
 * A request that is over. Whoever offers it uses the object again for the next one: read it at once and keep nothing of it.
 * Times are on the monotonic clock, in milliseconds.
 */
export interface RequestFacts {
  /** The address of whoever is connected; behind a load balancer that speaks the PROXY protocol, of its client. */
  readonly client: string;
  /** What the client speaks with us. */
  readonly scheme: 'http' | 'https';
  /** `HTTP/1.1`, `HTTP/2.0`. Empty: it was no request that could be read, nor are method, host and target. */
  readonly protocol: string;
  readonly method: string;
  /** Normalised. */
  readonly host: string;
  /** The request target as it was sent: path and query. */
  readonly target: Span;
  /** Values of fields of its head; empty where there are none. */
  readonly userAgent: Span;
  readonly requestId: Span;
  /** What the client was answered; 499 if it went away before that began. */
  readonly status: number;
  /** The code of what went wrong in the proxy, also where an answer that had begun was broken off; undefined if nothing. */
  readonly error: string | undefined;
  /** How it was answered in the place of an app that sleeps; undefined nearly always. */
  readonly standIn: string | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** When its head had been read. */
  readonly startedMs: number;
  /** When it went to a container first; NaN if it never did. */
  readonly placedMs: number;
  /** When its answer began; NaN if it never did. */
  readonly firstByteMs: number;
  /** When the last byte had been passed on. */
  readonly endedMs: number;
  /** The one it was given last, which may have been released. */
  readonly lease: Lease | undefined;
}

export interface RequestLog {
  /** For the requests of one client connection. */
  connection(): ConnectionLog;
  stats(): RequestLogStats;
}

export interface RequestLogStats {
  /** Written. */
  readonly linesTotal: number;
  /** Lines that are missing: the disk was too slow or full. */
  readonly droppedTotal: number;
  /** Lines that have not been written yet, in bytes. */
  readonly bufferedBytes: number;
}

export interface ConnectionLog {
  /** A request is over. Never throws, never waits. */
  over(request: RequestFacts): void;
}
