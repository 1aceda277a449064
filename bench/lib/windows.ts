/** What visitors saw over time: their waiting in windows, and the moment from which on it is as good as it gets. */
import { percentile } from './report.ts';

export interface Visit {
  /** Milliseconds since the load began. */
  readonly beganMs: number;
  readonly endedMs: number;
  /** Of the answer; 0 where there was none. */
  readonly status: number;
  /** The body: who answered. */
  readonly by: string;
}

export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
  /** Of the visits that ended in it; NaN where none did. */
  readonly p95Ms: number;
}

/** Windows in a row that have to be good: one alone may be luck. */
const IN_A_ROW = 3;

export function windowsOf(
  visits: readonly Visit[],
  { everyMs, lengthMs }: { readonly everyMs: number; readonly lengthMs: number },
): Window[] {
  const latencies = Array.from({ length: Math.floor(lengthMs / everyMs) }, (): number[] => []);
  for (const { beganMs, endedMs } of visits)
    latencies[Math.floor(endedMs / everyMs)]?.push(endedMs - beganMs);
  return latencies.map((inWindow, index) => ({
    fromMs: index * everyMs,
    toMs: (index + 1) * everyMs,
    p95Ms: percentile(
      inWindow.toSorted((a, b) => a - b),
      0.95,
    ),
  }));
}

/** The median p95 of the last third: what has become of the load's beginning by then. Errors: RangeError without answers. */
export function steadyP95(windows: readonly Window[]): number {
  const last = windows
    .slice(Math.floor((windows.length * 2) / 3))
    .map(({ p95Ms }) => p95Ms)
    .filter((p95Ms) => !Number.isNaN(p95Ms));
  if (last.length === 0) throw new RangeError('nobody was answered in the last third of the time');
  return percentile(
    last.toSorted((a, b) => a - b),
    0.5,
  );
}

/** The end of the first of three windows in a row whose p95 is at most `limitMs`; undefined: there are none. */
export function settledAtMs(windows: readonly Window[], limitMs: number): number | undefined {
  const isGood = ({ p95Ms }: Window) => p95Ms <= limitMs;
  const first = windows.findIndex((_, index) => {
    const row = windows.slice(index, index + IN_A_ROW);
    return row.length === IN_A_ROW && row.every(isGood);
  });
  return windows[first]?.toMs;
}
