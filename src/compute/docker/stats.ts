/**
 * What a container uses. Read from its cgroup's files, which costs microseconds; asking the engine costs a millisecond and
 * the engine's CPU, and is left for where the files cannot be seen (Mayfly in a container itself, an engine elsewhere).
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import type { ContainerStats } from '../engine.ts';
import { isFailure } from './api.ts';
import type { ContainerDetails, DockerApi, StatsSample } from './api.ts';
import { hasProcess, statusOf } from './describe.ts';

const CGROUP_ROOT = '/sys/fs/cgroup';

type Reading = Omit<ContainerStats, 'atMs'>;

/** Reads one container's figures; undefined once its cgroup is gone. */
export type CgroupReader = () => Promise<Reading | undefined>;

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
    const known = await this.#readers.get(containerId)?.();
    if (known) return this.#now(known);
    this.#readers.delete(containerId);
    const details = await inspect();
    if (!details) return undefined;
    if (!hasProcess(statusOf(details.State.Status)))
      throw new PlatformError('invalid_transition', `${containerId} does not run: it uses nothing`);
    const reader = await cgroupReader(details.State.Pid, details.Id);
    if (reader) this.#readers.set(containerId, reader);
    const read = await reader?.();
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
  const [cpu, memory, pids] = [paths.get('cpuacct'), paths.get('memory'), paths.get('pids')];
  const unified = paths.get('');
  const reader =
    cpu && memory && pids
      ? version1(
          `${CGROUP_ROOT}/cpuacct${cpu}`,
          `${CGROUP_ROOT}/memory${memory}`,
          `${CGROUP_ROOT}/pids${pids}`,
        )
      : unified
        ? version2(`${CGROUP_ROOT}${unified}`)
        : undefined;
  // Files that are mounted elsewhere are as good as none.
  return (await reader?.()) && reader;
}

const version1 =
  (cpu: string, memory: string, pids: string): CgroupReader =>
  () =>
    unlessGone(async () => {
      const [cpuNs, used, stat, count] = await Promise.all([
        number(`${cpu}/cpuacct.usage`),
        number(`${memory}/memory.usage_in_bytes`),
        readFile(`${memory}/memory.stat`, 'utf8'),
        number(`${pids}/pids.current`),
      ]);
      const cache = field(stat, 'total_inactive_file');
      return { cpuMs: cpuNs / 1e6, memoryBytes: Math.max(0, used - cache), pids: count };
    });

const version2 =
  (path: string): CgroupReader =>
  () =>
    unlessGone(async () => {
      const [cpu, used, stat, count] = await Promise.all([
        readFile(`${path}/cpu.stat`, 'utf8'),
        number(`${path}/memory.current`),
        readFile(`${path}/memory.stat`, 'utf8'),
        number(`${path}/pids.current`),
      ]);
      const cache = field(stat, 'inactive_file');
      return { cpuMs: field(cpu, 'usage_usec') / 1e3, memoryBytes: Math.max(0, used - cache), pids: count };
    });

/** The same figures from the engine's own statistics. */
export function fromEngine(sample: StatsSample): Reading {
  // An engine sends empty objects for a container that does not run, whatever its types say.
  const memory = sample.memory_stats as { usage?: number; stats?: Record<string, number> };
  const cache = memory.stats?.total_inactive_file ?? memory.stats?.inactive_file ?? 0;
  return {
    cpuMs: sample.cpu_stats.cpu_usage.total_usage / 1e6,
    memoryBytes: Math.max(0, (memory.usage ?? 0) - cache),
    pids: sample.pids_stats?.current ?? 0,
  };
}

async function unlessGone(read: () => Promise<Reading>): Promise<Reading | undefined> {
  try {
    return await read();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT' || code === 'ENODEV') return undefined;
    throw error;
  }
}

const number = async (path: string) => Number(await readFile(path, 'utf8'));

const field = (stat: string, name: string) =>
  Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
