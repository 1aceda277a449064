/** What is told of the platform's own processes. */
import type { ProcessStats } from '../process-stats.ts';
import type { Exposition, Sample } from './exposition.ts';

/** How late a timer may come, in seconds. */
const DELAY_BOUNDS_SECONDS = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const;

/** By name: `main`, or `control` and `worker-1`, `worker-2`. */
export type Processes = ReadonlyMap<string, ProcessStats>;

export function addProcessFamilies(to: Exposition, processes: Processes): void {
  const all = [...processes].map(([process, stats]) => ({ labels: { process }, stats }));
  const each = (value: (stats: ProcessStats) => number): Sample[] =>
    all.map(({ labels, stats }) => [labels, value(stats)]);

  to.gauge(
    'mayfly_process_start_time_seconds',
    'When it began, since the epoch.',
    each((stats) => stats.startedAtMs / 1_000),
  );
  to.counter(
    'mayfly_process_cpu_seconds_total',
    'CPU time used, by mode.',
    all.flatMap(({ labels, stats }): Sample[] => [
      [{ ...labels, mode: 'user' }, stats.cpuUserMs / 1_000],
      [{ ...labels, mode: 'system' }, stats.cpuSystemMs / 1_000],
    ]),
  );
  to.gauge(
    'mayfly_process_resident_memory_bytes',
    'Memory that it occupies.',
    each((stats) => stats.residentBytes),
  );
  to.gauge(
    'mayfly_process_heap_used_bytes',
    'Of that, JavaScript objects.',
    each((stats) => stats.heapUsedBytes),
  );
  to.gauge(
    'mayfly_process_external_memory_bytes',
    'Beside these: buffers, mostly.',
    each((stats) => stats.externalBytes),
  );
  to.gauge(
    'mayfly_process_open_fds',
    'Files and sockets open.',
    all.flatMap(({ labels, stats }): Sample[] =>
      stats.openFds === undefined ? [] : [[labels, stats.openFds]],
    ),
  );
  to.counter(
    'mayfly_process_event_loop_active_seconds_total',
    'Time in which the event loop was at work.',
    each((stats) => stats.loopActiveMs / 1_000),
  );
  to.histogram(
    'mayfly_process_event_loop_delay_seconds',
    'How late a timer came that is due ten times a second.',
    DELAY_BOUNDS_SECONDS,
    all.map(({ labels, stats }) => [labels, stats.loopDelay]),
  );
}
