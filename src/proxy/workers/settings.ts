/**
 * What a data plane is told before it serves, as plain JSON: the same words for one in this process and for one in a process of
 * its own, which they reach over its channel.
 */
import type { Clock } from '../../clock.ts';
import type { Log, LogLevel } from '../../log.ts';
import { Networks } from '../../networks.ts';
import { AccessLog } from '../access-log/access-log.ts';
import type { Certificate } from '../doors/certificates.ts';
import type { ListenAt } from '../doors/doors.ts';
import type { ProxyLimits } from '../limits.ts';
import type { ProxyOptions } from '../server.ts';
import { affordable } from './open-files.ts';
import { limitsOfOne } from './parts.ts';

export interface DataPlaneSettings {
  readonly logLevel: LogLevel;
  /** Of the machine as a whole: each worker keeps its part of them. */
  readonly limits?: Partial<ProxyLimits> | undefined;
  /** The containers' own networks (`172.17.0.0/16`), from which no connection is taken but at the inside door. */
  readonly refuseFrom: readonly string[];
  /** Networks of proxies whose `X-Forwarded-*` is believed. */
  readonly trustedProxies: readonly string[];
  /** Networks of load balancers that begin each connection with a PROXY header. */
  readonly proxyProtocolFrom: readonly string[];
  /** Undefined: none is kept. */
  readonly accessLog?: { readonly path: string; readonly sample: number } | undefined;
  /** For the TLS door, where there is one. */
  readonly tls?: { readonly certificates: readonly Certificate[]; readonly ticketKeys: string } | undefined;
}

/** One for each door: plain HTTP, TLS where there is one, and the containers' own where there is one. */
export interface DoorsAt<At = ListenAt> {
  readonly http: At;
  readonly tls?: At | undefined;
  readonly inside?: At | undefined;
}

/** What `startProxy` is to be given, in one of so many processes. Errors: `invalid_config` (the access log cannot be written). */
export function proxyOptions(
  settings: DataPlaneSettings,
  listen: DoorsAt,
  { workers, clock, log }: { readonly workers: number; readonly clock: Clock; readonly log: Log },
) {
  const { tls, accessLog } = settings;
  const limits = limitsOfOne(settings.limits, workers);
  return {
    ...{ clock, log },
    limits: { ...limits, connections: affordable(limits.connections, log) },
    listen: listen.http,
    tls: tls && listen.tls && { ...tls, listen: listen.tls },
    inside: listen.inside,
    refuseFrom: new Networks(settings.refuseFrom),
    trustedProxies: new Networks(settings.trustedProxies),
    proxyProtocolFrom: new Networks(settings.proxyProtocolFrom),
    /** To be closed after the proxy. */
    requestLog: accessLog && new AccessLog({ ...accessLog, clock, log }),
  } satisfies Omit<ProxyOptions, 'control'>;
}
