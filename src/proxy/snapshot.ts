/**
 * All that one data plane has counted, as plain JSON: it crosses from a worker to the control process as it is, and those of
 * several workers add up.
 */
import type { ProcessStats } from '../process-stats.ts';
import type { AppTotal } from './app-totals.ts';
import type { ProxyCounters } from './counters.ts';
import type { DispatcherStats } from './dispatcher.ts';
import type { HistogramSnapshot } from './latency.ts';
import type { RequestLogStats } from './request-log.ts';

/** Apps that one data plane tells of: those with the most requests. `/metrics` shows fewer. */
export const SNAPSHOT_APPS = 1_000;

export interface ProxySnapshot extends Readonly<ProxyCounters>, DispatcherStats {
  /** From a request's head to its answer's last byte. */
  readonly latency: HistogramSnapshot;
  /** Of requests that had to wait for a container, until they were given to one. */
  readonly heldTime: HistogramSnapshot;
  readonly appTotals: readonly Readonly<AppTotal>[];
  /** Undefined: no access log is kept. */
  readonly accessLog: RequestLogStats | undefined;
  /** The process that it runs in. */
  readonly process: ProcessStats;
}
