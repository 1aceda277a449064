/** What all connections of the fast transport share. */
import type { Clock } from '../../clock.ts';
import type { ProxyCounters } from '../counters.ts';
import type { Dispatcher } from '../dispatcher.ts';
import type { FailureLog } from '../failure-log.ts';
import type { LatencyHistogram } from '../latency.ts';
import type { TransportLimits } from '../limits.ts';
import type { RequestLog } from '../request-log.ts';
import type { Client } from './client.ts';
import type { Deadlines } from './deadlines.ts';
import type { Heads } from './heads.ts';
import type { ReadMemory } from './reading.ts';
import type { Scratch } from './scratch.ts';
import type { UpstreamConnections } from './upstream-connections.ts';
import type { Elsewhere } from './vouch.ts';

export interface FastContext {
  readonly dispatcher: Dispatcher;
  readonly upstreams: UpstreamConnections;
  readonly clock: Clock;
  readonly failureLog: FailureLog;
  readonly limits: TransportLimits;
  readonly counters: ProxyCounters;
  readonly latency: LatencyHistogram;
  /** Undefined: nobody keeps an access log. */
  readonly requestLog: RequestLog | undefined;
  readonly deadlines: Deadlines;
  readonly heads: Heads;
  readonly scratch: Scratch;
  readonly memory: ReadMemory;
  /** Requests that are not answered yet. `begun` and `ended` in turn, per connection. */
  begun(): void;
  ended(): void;
  /** The transport takes no more requests: connections close after their answer. */
  readonly closing: boolean;
  /** Connections close as soon as nothing is in flight on them, announced or not. */
  readonly closesIdle: boolean;
  /** Hands a connection, whose unread bytes have been put back, to another transport. */
  handOver(client: Client, to: Elsewhere): void;
  /** The connection is closed. */
  gone(client: Client): void;
}
