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

/** Where a container's cgroup is to be seen. */
interface ContainerCgroup {
  /** Undefined once it is gone. */
  usage(): CgroupUsage | undefined;
  /** Where its CPU is controlled. */
  readonly cpuFolder: string;
}

/** Remembers where each container's cgroup is, for as long as it lives. */
export class StatsSource {
  readonly #api: DockerApi;
  readonly #clock: Clock;
  readonly #cgroups = new Map<string, ContainerCgroup>();

  constructor(api: DockerApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  forget(containerId: string): void {
    this.#cgroups.delete(containerId);
  }

  /** Undefined when there is no such container. Errors: `invalid_transition` (it does not run). */
  async of(
    containerId: string,
    inspect: () => Promise<ContainerDetails | undefined>,
  ): Promise<ContainerStats | undefined> {
    const known = this.#cgroups.get(containerId)?.usage();
    if (known) return this.#now(known);
    const details = await inspect();
    if (!details) return undefined;
    if (!hasProcess(statusOf(details.State.Status)))
      throw new PlatformError('invalid_transition', `${containerId} does not run: it uses nothing`);
    const usage = (await this.#find(containerId, details))?.usage();
    return this.#now(usage ?? (await this.#askEngine(details.Id)));
  }

  /** Where its CPU is controlled; undefined where that is not to be seen, or it does not run. */
  async cpuFolder(
    containerId: string,
    inspect: () => Promise<ContainerDetails | undefined>,
  ): Promise<string | undefined> {
    const known = this.#cgroups.get(containerId);
    if (known) return known.cpuFolder;
    const details = await inspect();
    return details && (await this.#find(containerId, details))?.cpuFolder;
  }

  async #find(containerId: string, { State, Id }: ContainerDetails): Promise<ContainerCgroup | undefined> {
    this.#cgroups.delete(containerId);
    const found = hasProcess(statusOf(State.Status)) ? await cgroupOf(State.Pid, Id) : undefined;
    if (found) this.#cgroups.set(containerId, found);
    return found;
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
 * The cgroup of the process `pid`, or undefined where that is not to be seen. The path has to carry the
 * container's id: the pid comes from the engine, and may mean another process in our own pid namespace.
 */
async function cgroupOf(pid: number, engineId: string): Promise<ContainerCgroup | undefined> {
  const membership = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  const paths = new Map<string, string>();
  for (const line of membership.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path?.includes(engineId)) for (const name of controllers?.split(',') ?? []) paths.set(name, path);
  }
  const cgroup = cgroupAt(paths);
  // Files that are mounted elsewhere are as good as none.
  return cgroup?.usage() && cgroup;
}

/** `paths`: where the group is, by the name of the controller; without one, of cgroup v2. */
function cgroupAt(paths: ReadonlyMap<string, string>): ContainerCgroup | undefined {
  const folder = (controller: string) => `${CGROUP_ROOT}/${controller}${paths.get(controller) ?? ''}`;
  if (['cpuacct', 'memory', 'pids'].every((controller) => paths.has(controller))) {
    const [cpu, cpuacct, memory, pids] = [folder('cpu'), folder('cpuacct'), folder('memory'), folder('pids')];
    return { usage: () => unlessGone(() => usageV1({ cpu, cpuacct, memory, pids })), cpuFolder: cpu };
  }
  const unified = paths.get('');
  if (!unified) return undefined;
  const unifiedFolder = `${CGROUP_ROOT}${unified}`;
  return { usage: () => unlessGone(() => usageV2(unifiedFolder)), cpuFolder: unifiedFolder };
}

/** The same figures from the engine's own statistics. */
function fromEngine(sample: StatsSample): Reading {
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
