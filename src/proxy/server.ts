/** The data plane, put together: a dispatcher that decides, and a transport that moves bytes. */
import type { BlockList } from 'node:net';
import type { Clock } from '../clock.ts';
import { sleep } from '../clock.ts';
import type { ControlPlane } from './control-plane.ts';
import type { ProxyCounters } from './counters.ts';
import { Dispatcher } from './dispatcher.ts';
import type { DispatcherStats } from './dispatcher.ts';
import { DEFAULT_DISPATCH_LIMITS, DEFAULT_TRANSPORT_LIMITS } from './limits.ts';
import type { ProxyLimits } from './limits.ts';
import { FastTransport } from './fast/transport-fast.ts';
import type { LatencyHistogram } from './latency.ts';
import type { RequestLog } from './request-log.ts';
import { HttpTransport } from './transport-http.ts';
import type { ProxyLog, Transport } from './transport.ts';
import { UpstreamPool } from './upstream-pool.ts';

export interface ProxyOptions {
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly log: ProxyLog;
  /** Port 0: any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly limits?: Partial<ProxyLimits> | undefined;
  /** Peers whose `X-Forwarded-*` and `Forwarded` are believed and added to. */
  readonly trustedProxies?: BlockList | undefined;
  /** Where no connection is taken from: the containers' own networks. */
  readonly refuseFrom?: BlockList | undefined;
  /** `http`: everything goes through node:http. */
  readonly transport?: 'fast' | 'http' | undefined;
  /** Told of every request that is over; whoever gives it closes it after the proxy. */
  readonly requestLog?: RequestLog | undefined;
}

export type ProxySnapshot = Readonly<ProxyCounters> & DispatcherStats;

export interface Proxy {
  readonly port: number;
  readonly dispatcher: Dispatcher;
  readonly latency: LatencyHistogram;
  /** What `/metrics` shows. */
  snapshot(): ProxySnapshot;
  /**
   * Takes no further connection, lets what is in flight or held end for `graceMs`, then breaks it. Calling it again
   * waits for the same end.
   */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Resolves when it listens. Errors: what `listen` gives, e.g. EADDRINUSE. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { control, clock, log, listen, trustedProxies, refuseFrom, requestLog } = options;
  const limits: ProxyLimits = { ...DEFAULT_DISPATCH_LIMITS, ...DEFAULT_TRANSPORT_LIMITS, ...options.limits };
  const pool = new UpstreamPool(limits);
  const dispatcher = new Dispatcher({
    control,
    clock,
    limits,
    onRetire: (containerId) => transport.retire(containerId),
  });
  const TransportClass = options.transport === 'http' ? HttpTransport : FastTransport;
  const transport: Transport = new TransportClass({
    ...{ dispatcher, pool, clock, log, limits, trustedProxies, refuseFrom, requestLog },
  });
  let port: number;
  try {
    port = await transport.listen(listen);
  } catch (error) {
    dispatcher.close();
    throw error;
  }

  let closing: Promise<void> | undefined;
  const close = async (graceMs: number) => {
    const patience = new AbortController();
    const drained = transport.drain().then(() => patience.abort());
    await Promise.race([drained, sleep(clock, graceMs, patience.signal).catch(() => undefined)]);
    patience.abort();
    dispatcher.close();
    await new Promise((resolve) => setImmediate(resolve)); // what was held is refused
    await transport.close();
  };
  return {
    port,
    dispatcher,
    latency: transport.latency,
    snapshot: () => ({ ...transport.counters, ...dispatcher.stats() }),
    close: ({ graceMs }) => (closing ??= close(graceMs)),
  };
}
