/** What the transport counts, since its start; a plain snapshot is what `/metrics` reads. */
import type { PlatformError } from '../errors.ts';
import type { StandIn, StandInKind } from './stand-in.ts';

/**
 * Why a connection was not taken: it comes from where nobody may, has no PROXY header where it has to, does not get through its TLS
 * handshake, or there are as many as there may be.
 */
export type ConnectionRefusal = 'network' | 'proxy_header' | 'tls_handshake' | 'too_many';

export interface ProxyCounters {
  requests: number;
  /** Answers by the class of their status: ours and the apps'. */
  status1xx: number;
  status2xx: number;
  status3xx: number;
  status4xx: number;
  status5xx: number;
  /** Requests that we answered with an error, by its code. */
  errors: Record<string, number>;
  /** Requests that found their app asleep and that we answered in its place, by what they got. */
  standIns: Record<StandInKind, number>;
  /** Clients that went away before their answer began (499 in an access log). */
  clientAborts: number;
  /** Answers of apps that ended before they were complete. */
  truncated: number;
  /** Requests sent again on a fresh connection because a kept one had been closed. */
  staleRetries: number;
  /** Connections that were closed before anything was read of them as HTTP. */
  refusedConnections: Record<ConnectionRefusal, number>;
  /** From clients, in bytes. */
  receivedBytes: number;
  /** To clients, in bytes. What node:http carries is counted, in both directions, when its connection closes. */
  sentBytes: number;
}

export function newCounters(): ProxyCounters {
  return {
    requests: 0,
    status1xx: 0,
    status2xx: 0,
    status3xx: 0,
    status4xx: 0,
    status5xx: 0,
    errors: {},
    standIns: { asleep: 0, waiting_page: 0 },
    clientAborts: 0,
    truncated: 0,
    staleRetries: 0,
    refusedConnections: { network: 0, proxy_header: 0, tls_handshake: 0, too_many: 0 },
    receivedBytes: 0,
    sentBytes: 0,
  };
}

/** An error that is our answer. */
export function countError(counters: ProxyCounters, { code, status }: PlatformError): void {
  counters.errors[code] = (counters.errors[code] ?? 0) + 1;
  countStatus(counters, status);
}

/** An answer in the place of an app that sleeps. */
export function countStandIn(counters: ProxyCounters, { code, status }: StandIn): void {
  counters.standIns[code]++;
  countStatus(counters, status);
}

/** By class alone. */
export function countStatus(counters: ProxyCounters, status: number): void {
  if (status >= 500) counters.status5xx++;
  else if (status >= 400) counters.status4xx++;
  else if (status >= 300) counters.status3xx++;
  else if (status >= 200) counters.status2xx++;
  else counters.status1xx++;
}
