/** The data plane, put together: doors that let clients in, a dispatcher that decides, and a transport that moves bytes. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { sleep } from '../clock.ts';
import type { Networks } from '../networks.ts';
import { processStats } from '../process-stats.ts';
import type { ControlPlane } from './control-plane.ts';
import { newCounters } from './counters.ts';
import type { ProxyCounters } from './counters.ts';
import { Dispatcher } from './dispatcher.ts';
import { Certificates } from './doors/certificates.ts';
import type { Certificate, CertificateChange } from './doors/certificates.ts';
import { Doors } from './doors/doors.ts';
import type { ListenAt } from './doors/doors.ts';
import { TlsStage } from './doors/tls-stage.ts';
import { FailureLog } from './failure-log.ts';
import { DEFAULT_DISPATCH_LIMITS, DEFAULT_TRANSPORT_LIMITS } from './limits.ts';
import type { ProxyLimits } from './limits.ts';
import { LatencyHistogram } from './latency.ts';
import type { RequestLog } from './request-log.ts';
import type { SlotShares } from './slot-shares.ts';
import { SNAPSHOT_APPS } from './snapshot.ts';
import type { ProxySnapshot } from './snapshot.ts';
import type { ProxyLog } from './transport.ts';
import { Transports } from './transports.ts';
import { UpstreamPool } from './upstream-pool.ts';
import { setV8Flags } from './v8-flags.ts';

/** Plain data. */
export interface TlsDoor {
  readonly listen: ListenAt;
  /** Further ones come by `changeCertificates`. */
  readonly certificates: readonly Certificate[];
  /**
   * 48 bytes in hex that session tickets are sealed with: the same for all processes that serve one port, so that each takes
   * up a session that another has begun. Made anew where it is not given.
   */
  readonly ticketKeys?: string | undefined;
}

export interface ProxyOptions {
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly log: ProxyLog;
  readonly listen: ListenAt;
  /** A second door, over TLS. */
  readonly tls?: TlsDoor | undefined;
  /** A door for containers: those in `refuseFrom`, for what their apps need. */
  readonly inside?: ListenAt | undefined;
  readonly limits?: Partial<ProxyLimits> | undefined;
  /** Peers whose `X-Forwarded-*` and `Forwarded` are believed and added to. */
  readonly trustedProxies?: Networks | undefined;
  /** Load balancers that begin each connection, at every door, with a PROXY header (version 1 or 2). */
  readonly proxyProtocolFrom?: Networks | undefined;
  /** The containers' own networks, from which no connection is taken but at the inside door. */
  readonly refuseFrom?: Networks | undefined;
  /** What serves HTTP/1.1; `http` is node:http for all of it. */
  readonly transport?: 'fast' | 'http' | undefined;
  /** Told of every request that is over; whoever gives it closes it after the proxy. */
  readonly requestLog?: RequestLog | undefined;
  /** Where other data planes use slots of the same containers. */
  readonly shares?: SlotShares | undefined;
}

export interface CloseOptions {
  /** What is in flight or held may take so long; then it is broken. */
  readonly graceMs: number;
  /**
   * Idle connections are not closed at once: each may ask once more and is told that it closes. Resolves when the last has
   * gone, which a client's keep-alive may put off until `graceMs` are over.
   */
  readonly patient?: boolean;
}

export interface Proxy {
  readonly port: number;
  /** Undefined without a TLS door. */
  readonly tlsPort: number | undefined;
  /** Undefined without an inside door. */
  readonly insidePort: number | undefined;
  readonly dispatcher: Dispatcher;
  readonly latency: LatencyHistogram;
  /** What `/metrics` shows. */
  snapshot(): ProxySnapshot;
  /** For TLS connections that come from now on; those that are open stay as they are. */
  changeCertificates(change: CertificateChange): void;
  /**
   * Takes no further connection, lets what is in flight or held end, then breaks it. Calling it again waits for the same end,
   * which may come sooner by that, never later.
   */
  close(options: CloseOptions): Promise<void>;
}

/** Resolves when it listens. Errors: what `listen` gives, e.g. EADDRINUSE. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  setV8Flags();
  const { control, clock, log, listen, trustedProxies, refuseFrom, proxyProtocolFrom, requestLog } = options;
  const limits: ProxyLimits = { ...DEFAULT_DISPATCH_LIMITS, ...DEFAULT_TRANSPORT_LIMITS, ...options.limits };
  const counters = newCounters();
  const pool = new UpstreamPool({ clock, limits });
  const dispatcher = new Dispatcher({
    control,
    clock,
    limits,
    onRetire: (containerId) => transport.retire(containerId),
    shares: options.shares,
  });
  const latency = new LatencyHistogram();
  const transport: Transports = new Transports(
    {
      dispatcher,
      pool,
      clock,
      failureLog: new FailureLog(clock, log),
      limits,
      counters,
      latency,
      requestLog,
    },
    options.transport ?? 'fast',
  );
  const doors = new Doors({
    ...{ clock, log, limits, counters, trustedProxies, refuseFrom, proxyProtocolFrom },
    enter: (socket, peer) => transport.accept(socket, peer),
  });
  const tls = options.tls && tlsStage(options.tls, { log, limits, counters });
  let port: number;
  let tlsPort: number | undefined;
  let insidePort: number | undefined;
  try {
    port = await doors.open(listen);
    if (options.tls !== undefined) tlsPort = await doors.open(options.tls.listen, tls);
    if (options.inside !== undefined) insidePort = await doors.openInside(options.inside, dispatcher.guests);
  } catch (error) {
    await doors.close();
    dispatcher.close();
    throw error;
  }

  let closing: Promise<void> | undefined;
  const over = new AbortController();
  const finish = async () => {
    await new Promise((resolve) => over.signal.addEventListener('abort', resolve));
    const closed = doors.close();
    dispatcher.close();
    await new Promise((resolve) => setImmediate(resolve)); // what was held is refused
    await transport.close();
    await closed;
  };
  const close = ({ graceMs, patient = false }: CloseOptions) => {
    closing ??= finish();
    let ended: Promise<void>;
    if (patient) {
      transport.closeAfterNext();
      ended = doors.shut();
    } else {
      void doors.close();
      ended = transport.drain();
    }
    const late = sleep(clock, graceMs, over.signal).catch(() => undefined);
    void Promise.race([ended, late]).then(() => over.abort());
    return closing;
  };
  return {
    port,
    tlsPort,
    insidePort,
    dispatcher,
    latency,
    snapshot: () => ({
      ...counters,
      errors: { ...counters.errors },
      standIns: { ...counters.standIns },
      refusedConnections: { ...counters.refusedConnections },
      ...dispatcher.stats(),
      latency: latency.snapshot(),
      heldTime: dispatcher.heldTime.snapshot(),
      appTotals: dispatcher.topApps(SNAPSHOT_APPS),
      accessLog: requestLog?.stats(),
      process: processStats(),
    }),
    changeCertificates: (change) => tls?.apply(change),
    close,
  };
}

function tlsStage(
  { certificates, ticketKeys }: TlsDoor,
  { log, limits, counters }: { log: ProxyLog; limits: ProxyLimits; counters: ProxyCounters },
): TlsStage {
  const stage = new TlsStage({
    ...{ certificates: new Certificates(), log, counters },
    ticketKeys: ticketKeys === undefined ? randomBytes(48) : Buffer.from(ticketKeys, 'hex'),
    handshakeTimeoutMs: limits.headersTimeoutMs,
  });
  stage.apply({ remove: [], put: certificates });
  return stage;
}
