/**
 * What this process uses of its machine, read when somebody asks. Only how late its event loop runs has to be watched: a timer
 * notes by how much it came too late, ten times a second.
 */
import { readdirSync, statSync } from 'node:fs';
import { LatencyHistogram } from './proxy/latency.ts';
import type { HistogramSnapshot } from './proxy/latency.ts';

const WATCH_EVERY_MS = 100;

export interface ProcessStats {
  readonly pid: number;
  /** Epoch. */
  readonly startedAtMs: number;
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** Beside the heap: buffers, mostly. */
  readonly externalBytes: number;
  /** Undefined where the system does not tell. */
  readonly openFds: number | undefined;
  /** Time in which the event loop was at work. */
  readonly loopActiveMs: number;
  /** How late timers came. */
  readonly loopDelay: HistogramSnapshot;
}

let delays: LatencyHistogram | undefined;

/** The event loop is watched from the first call on. */
export function processStats(): ProcessStats {
  const { rss, heapUsed, external } = process.memoryUsage();
  const cpu = process.cpuUsage();
  return {
    pid: process.pid,
    startedAtMs: performance.timeOrigin,
    cpuUserMs: cpu.user / 1_000,
    cpuSystemMs: cpu.system / 1_000,
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    externalBytes: external,
    openFds: openFds(),
    loopActiveMs: performance.eventLoopUtilization().active,
    loopDelay: watchLoop().snapshot(),
  };
}

/** Begins to watch how late the event loop runs; again, it only gives what has been seen. */
export function watchLoop(): LatencyHistogram {
  if (delays !== undefined) return delays;
  const seen = (delays = new LatencyHistogram());
  let dueMs = performance.now() + WATCH_EVERY_MS;
  setInterval(() => {
    const nowMs = performance.now();
    seen.record(Math.max(0, nowMs - dueMs));
    dueMs = nowMs + WATCH_EVERY_MS;
  }, WATCH_EVERY_MS).unref();
  return seen;
}

function openFds(): number | undefined {
  const folder = '/proc/self/fd';
  try {
    // Linux 6.2 and later say how many in the folder's size; before, they are counted, in which the counting is one.
    return statSync(folder).size || readdirSync(folder).length - 1;
  } catch {
    return undefined;
  }
}
