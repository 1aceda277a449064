/**
 * How bytes move: the part of the proxy that has sockets. It asks the dispatcher for a lease, forwards outside of it, and
 * gives the lease back. This interface is all that the rest knows of it.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { ProxyCounters } from './counters.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Peer } from './doors/peer.ts';
import type { FailureLog } from './failure-log.ts';
import type { LatencyHistogram } from './latency.ts';
import type { TransportLimits } from './limits.ts';
import type { RequestLog } from './request-log.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** What the proxy says to its operator; pino fits. */
export interface ProxyLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface TransportOptions {
  readonly dispatcher: Dispatcher;
  readonly pool: UpstreamPool;
  readonly clock: Clock;
  readonly failureLog: FailureLog;
  readonly limits: TransportLimits;
  /** What to count in: transports count together. */
  readonly counters: ProxyCounters;
  /** From a request's head to its answer's last byte. */
  readonly latency: LatencyHistogram;
  /** Told of every request that is over. */
  readonly requestLog?: RequestLog | undefined;
}

export interface Transport {
  readonly counters: Readonly<ProxyCounters>;
  readonly latency: LatencyHistogram;
  /** Serves a connection until it closes. What has been read of it has been put back. */
  accept(socket: Socket, peer: Peer): void;
  /** No new request goes to this container: connections that are kept to it are closed. */
  retire(containerId: string): void;
  /**
   * Every connection closes with its next answer, and says so with it. An idle one stays open for that: a client may be
   * asking on it at this moment, and would be told nothing.
   */
  closeAfterNext(): void;
  /** Connections close as soon as they have nothing in flight. Resolves when the last request is answered. */
  drain(): Promise<void>;
  /** Breaks whatever is still open. Resolves when everything is closed. */
  close(): Promise<void>;
}
