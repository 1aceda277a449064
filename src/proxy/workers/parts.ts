/**
 * What the machine as a whole may hold, in equal parts for its workers. Connections, and with them requests, are spread over
 * the workers by chance and about evenly, so each is bounded for itself, without asking the others.
 */
import { DEFAULT_DISPATCH_LIMITS, DEFAULT_TRANSPORT_LIMITS } from '../limits.ts';
import type { ProxyLimits } from '../limits.ts';

/** Rounded up, so that a bound that lets something pass still does: all together have at most `workers - 1` more. */
export function partOf(bound: number, workers: number): number {
  return Math.ceil(bound / workers);
}

/** Bounds in all are divided; those of one request, one host or one connection stay as they are. */
export function limitsOfOne(limits: Partial<ProxyLimits> | undefined, workers: number): ProxyLimits {
  const all: ProxyLimits = { ...DEFAULT_DISPATCH_LIMITS, ...DEFAULT_TRANSPORT_LIMITS, ...limits };
  return {
    ...all,
    holdRequests: partOf(all.holdRequests, workers),
    holdBytes: partOf(all.holdBytes, workers),
    lookupRequests: partOf(all.lookupRequests, workers),
    lookupBytes: partOf(all.lookupBytes, workers),
    connections: partOf(all.connections, workers),
    guestConnections: partOf(all.guestConnections, workers),
    upstreamIdleConnections: partOf(all.upstreamIdleConnections, workers),
  };
}
