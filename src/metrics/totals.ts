/**
 * Several data planes as one. What they have counted is added, with what those that have ended had counted when they were last
 * asked: a worker that is replaced must not make a total fall.
 */
import type { AppTotal } from '../proxy/app-totals.ts';
import type { HistogramSnapshot } from '../proxy/latency.ts';
import type { RequestLogStats } from '../proxy/request-log.ts';
import type { ProxySnapshot } from '../proxy/snapshot.ts';

/** All of a snapshot that adds up; the process is told apart. */
export type ProxyTotals = Omit<ProxySnapshot, 'process'>;

/** What is, as opposed to what has been: nothing of it is left when its process has ended. */
const PRESENT = ['held', 'heldBytes', 'inFlight', 'apps', 'containers', 'routes'] as const;
/** Every data plane of a machine knows the same ones: they do not add up. */
const SHARED = ['apps', 'containers', 'routes'] as const;
/** Apps remembered of data planes that have ended. */
const MAX_APPS = 10_000;

/** Undefined: there is none. */
export function sumOf(snapshots: readonly ProxyTotals[]): ProxyTotals | undefined {
  return snapshots.length === 0 ? undefined : snapshots.reduce(add);
}

export class EndedDataPlanes {
  readonly #last = new Map<number, ProxySnapshot>();
  #ended: ProxyTotals | undefined;

  /** Those that live, by the id of their process, and what the others have left behind. */
  with(living: ReadonlyMap<number, ProxySnapshot>): ProxyTotals[] {
    for (const [pid, last] of this.#last) {
      if (living.has(pid)) continue;
      this.#last.delete(pid);
      this.#ended = this.#ended === undefined ? past(last) : add(this.#ended, past(last));
    }
    for (const [pid, snapshot] of living) this.#last.set(pid, snapshot);
    return [...living.values(), ...(this.#ended === undefined ? [] : [this.#ended])];
  }
}

function past(snapshot: ProxyTotals): ProxyTotals {
  const nothing = Object.fromEntries(PRESENT.map((key) => [key, 0]));
  const { accessLog } = snapshot;
  return { ...snapshot, ...nothing, accessLog: accessLog && { ...accessLog, bufferedBytes: 0 } };
}

function add(a: ProxyTotals, b: ProxyTotals): ProxyTotals {
  const shared = Object.fromEntries(SHARED.map((key) => [key, Math.max(a[key], b[key])]));
  return {
    ...addNumbers(a, b),
    ...shared,
    errors: addNumbers(a.errors, b.errors),
    standIns: addNumbers(a.standIns, b.standIns),
    refusedConnections: addNumbers(a.refusedConnections, b.refusedConnections),
    latency: addHistograms(a.latency, b.latency),
    heldTime: addHistograms(a.heldTime, b.heldTime),
    appTotals: addApps(a.appTotals, b.appTotals),
    accessLog: addLogs(a.accessLog, b.accessLog),
  };
}

/** Field by field; what is in one of them only, counts as zero in the other. What is no number is left to the caller. */
function addNumbers<T extends object>(a: T, b: T): T {
  const sum = new Map<string, unknown>(Object.entries(a));
  for (const [key, value] of Object.entries(b) as [string, unknown][])
    if (typeof value === 'number') sum.set(key, ((sum.get(key) as number | undefined) ?? 0) + value);
  return Object.fromEntries(sum) as T;
}

function addHistograms(a: HistogramSnapshot, b: HistogramSnapshot): HistogramSnapshot {
  const counts = new Map<number, number>();
  for (const [upToMs, count] of [...a.buckets, ...b.buckets])
    counts.set(upToMs, (counts.get(upToMs) ?? 0) + count);
  return {
    count: a.count + b.count,
    sumMs: a.sumMs + b.sumMs,
    buckets: [...counts].sort(([x], [y]) => x - y),
  };
}

function addApps(a: ProxyTotals['appTotals'], b: ProxyTotals['appTotals']): AppTotal[] {
  const byId = new Map<string, AppTotal>();
  for (const total of [...a, ...b]) {
    const known = byId.get(total.appId);
    byId.set(total.appId, known ? { ...addNumbers(known, total), name: total.name } : total);
  }
  return [...byId.values()].sort((x, y) => y.requests - x.requests).slice(0, MAX_APPS);
}

function addLogs(
  a: RequestLogStats | undefined,
  b: RequestLogStats | undefined,
): RequestLogStats | undefined {
  return a !== undefined && b !== undefined ? addNumbers(a, b) : (a ?? b);
}
