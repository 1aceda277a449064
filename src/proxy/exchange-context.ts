/** What an exchange is given: by its transport, and for itself. */
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { BufferSweep } from './buffer-sweep.ts';
import type { ArrivedRequest, ClientWay, OutgoingAnswer } from './client-side.ts';
import type { ProxyCounters } from './counters.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { FailureLog } from './failure-log.ts';
import type { TransportLimits } from './limits.ts';
import type { RequestHead } from './request-head.ts';
import type { RequestLog } from './request-log.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/** What all requests of a transport share. */
export interface ExchangeContext {
  readonly dispatcher: Dispatcher;
  readonly pool: UpstreamPool;
  readonly clock: Clock;
  readonly failureLog: FailureLog;
  readonly limits: TransportLimits;
  readonly counters: ProxyCounters;
  readonly sweep: BufferSweep;
  /** Undefined: nobody keeps an access log. */
  readonly requestLog?: RequestLog | undefined;
  /** The transport takes no more requests: connections close after their answer. */
  readonly closing: () => boolean;
}

/** A WebSocket handshake: the connection's socket is no longer the parser's. */
export interface UpgradeOffer {
  /** What the client sent behind its request. */
  readonly early: Buffer;
  /** Ends what the transport does with the socket, and gives it away. */
  readonly take: () => Socket;
}

export interface ExchangeOptions {
  readonly context: ExchangeContext;
  readonly way: ClientWay;
  readonly req: ArrivedRequest;
  readonly res: OutgoingAnswer;
  /** What the request asks, read in exactly one way. Throws as `readRequestHead`. */
  readonly readHead: () => RequestHead;
  readonly upgrade?: UpgradeOffer | undefined;
  /** The client has its answer, or has gone. Called once. */
  readonly onEnd: () => void;
}
