/**
 * What a container uses. Read from its cgroup's files, which costs microseconds; asking the engine costs a millisecond and
 * the engine's CPU, and is left for where the files cannot be seen (Mayfly in a container itself, an engine elsewhere).
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import { usageV1, usageV2 } from '../cgroup-usage.ts';
import type { CgroupUsage } from '../cgroup-usage.ts';
import type { ContainerStats } from '../engine.ts';
import { isFailure } from './api.ts';
import type { ContainerDetails, DockerApi, StatsSample } from './api.ts';
import { hasProcess, statusOf } from './describe.ts';

const CGROUP_ROOT = '/sys/fs/cgroup';

type Reading = Omit<ContainerStats, 'atMs'>;

/** Reads one container's figures; undefined once its cgroup is gone. */
export type CgroupReader = () => CgroupUsage | undefined;

/** Remembers where each container's figures are, for as long as it lives. */
export class StatsSource {
  readonly #api: DockerApi;
  readonly #clock: Clock;
  readonly #readers = new Map<string, CgroupReader>();

  constructor(api: DockerApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  forget(containerId: string): void {
    this.#readers.delete(containerId);
  }

  /** Undefined when there is no such container. Errors: `invalid_transition` (it does not run). */
  async of(
    containerId: string,
    inspect: () => Promise<ContainerDetails | undefined>,
  ): Promise<ContainerStats | undefined> {
    const known = this.#readers.get(containerId)?.();
    if (known) return this.#now(known);
    this.#readers.delete(containerId);
    const details = await inspect();
    if (!details) return undefined;
    if (!hasProcess(statusOf(details.State.Status)))
      throw new PlatformError('invalid_transition', `${containerId} does not run: it uses nothing`);
    const reader = await cgroupReader(details.State.Pid, details.Id);
    if (reader) this.#readers.set(containerId, reader);
    const read = reader?.();
    return this.#now(read ?? (await this.#askEngine(details.Id)));
  }

  async #askEngine(engineId: string): Promise<Reading> {
    try {
      return fromEngine(await this.#api.stats(engineId));
    } catch (thrown) {
      if (isFailure(thrown, 404)) throw new PlatformError('not_found', `Docker has no container ${engineId}`);
      throw thrown;
    }
  }

  #now(reading: Reading): ContainerStats {
    return { atMs: this.#clock.nowMs(), ...reading };
  }
}

/**
 * A reader for the cgroup of the process `pid`, or undefined where that is not to be seen. The path has to carry the
 * container's id: the pid comes from the engine, and may mean another process in our own pid namespace.
 */
export async function cgroupReader(pid: number, engineId: string): Promise<CgroupReader | undefined> {
  const membership = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  const paths = new Map<string, string>();
  for (const line of membership.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path?.includes(engineId)) for (const name of controllers?.split(',') ?? []) paths.set(name, path);
  }
  const reader = readerOf(paths);
  // Files that are mounted elsewhere are as good as none.
  return reader?.() && reader;
}

/** `paths`: where the group is, by the name of the controller; without one, of cgroup v2. */
function readerOf(paths: ReadonlyMap<string, string>): CgroupReader | undefined {
  const folder = (controller: string) => `${CGROUP_ROOT}/${controller}${paths.get(controller) ?? ''}`;
  if (['cpuacct', 'memory', 'pids'].every((controller) => paths.has(controller))) {
    const [cpu, cpuacct, memory, pids] = [folder('cpu'), folder('cpuacct'), folder('memory'), folder('pids')];
    return () => unlessGone(() => usageV1({ cpu, cpuacct, memory, pids }));
  }
  const unified = paths.get('');
  return unified ? () => unlessGone(() => usageV2(`${CGROUP_ROOT}${unified}`)) : undefined;
}

/** The same figures from the engine's own statistics. */
export function fromEngine(sample: StatsSample): Reading {
  // An engine sends empty objects for a container that does not run, whatever its types say.
  const memory = sample.memory_stats as { usage?: number; stats?: Record<string, number> };
  const { throttling_data: throttling } = sample.cpu_stats as {
    throttling_data?: { periods: number; throttled_periods: number };
  };
  const cache = memory.stats?.total_inactive_file ?? memory.stats?.inactive_file ?? 0;
  return {
    cpuMs: sample.cpu_stats.cpu_usage.total_usage / 1e6,
    memoryBytes: Math.max(0, (memory.usage ?? 0) - cache),
    pids: sample.pids_stats?.current ?? 0,
    ...(throttling && { periods: throttling.periods, throttledPeriods: throttling.throttled_periods }),
  };
}

function unlessGone(read: () => CgroupUsage): CgroupUsage | undefined {
  try {
    return read();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT' || code === 'ENODEV') return undefined;
    throw error;
  }
}
