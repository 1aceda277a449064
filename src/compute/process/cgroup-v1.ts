/**
 * Control groups, version 1: one hierarchy per controller (some share one), and a group is a folder of the same name in
 * each of them. See the kernel's Documentation/admin-guide/cgroup-v1.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Resources } from '../../cmdb/records.ts';
import { usageV1 } from '../cgroup-usage.ts';
import type { CgroupUsage } from '../cgroup-usage.ts';
import { cpuShares, setYields } from '../cpu-weight.ts';
import {
  CPU_PERIOD_US,
  cpuQuotaUs,
  listFolders,
  makeFolder,
  makeGroup,
  readKey,
  readNumber,
  readPids,
  removeGroup,
  removeIfEmpty,
  untilKernel,
  writeIfThere,
} from './cgroup-files.ts';
import type { Cgroups } from './cgroups.ts';

export const V1_CONTROLLERS = ['cpu', 'cpuacct', 'memory', 'pids', 'freezer'] as const;
export type V1Controller = (typeof V1_CONTROLLERS)[number];

/** Undefined where this process may not write them. */
export async function openCgroupsV1(
  mounts: Readonly<Record<V1Controller, string>>,
  parent: string,
): Promise<Cgroups | undefined> {
  const parents = [...new Set(Object.values(mounts))].map((mount) => join(mount, parent));
  const made = await Promise.allSettled(parents.map(makeFolder));
  await Promise.all(parents.map(removeIfEmpty));
  const isWritable = made.every(({ status }) => status === 'fulfilled');
  return isWritable ? new CgroupsV1(mounts, parent, parents) : undefined;
}

class CgroupsV1 implements Cgroups {
  readonly version = 1;
  readonly #mounts: Readonly<Record<V1Controller, string>>;
  readonly #parent: string;
  /** The node's own folder in each hierarchy. */
  readonly #parents: readonly string[];

  constructor(mounts: Readonly<Record<V1Controller, string>>, parent: string, parents: readonly string[]) {
    this.#mounts = mounts;
    this.#parent = parent;
    this.#parents = parents;
  }

  async create(id: string, resources: Resources): Promise<void> {
    await Promise.all(this.#parents.map((parent) => makeGroup(parent, id)));
    await this.update(id, resources);
  }

  async add(id: string, pid: number): Promise<void> {
    await Promise.all(
      this.#parents.map((parent) => writeFile(join(parent, id, 'cgroup.procs'), String(pid))),
    );
  }

  async update(id: string, resources: Resources): Promise<void> {
    await this.#limitMemory(id, resources.memoryBytes);
    await setYields(this.#file('cpu', id, ''), false);
    await Promise.all([
      writeFile(this.#file('cpu', id, 'cpu.cfs_period_us'), String(CPU_PERIOD_US)).then(() =>
        writeFile(this.#file('cpu', id, 'cpu.cfs_quota_us'), String(cpuQuotaUs(resources.cpu))),
      ),
      writeFile(this.#file('cpu', id, 'cpu.shares'), String(cpuShares(resources.cpu))),
      writeFile(this.#file('pids', id, 'pids.max'), String(resources.pidsMax)),
    ]);
  }

  async yieldCpu(id: string): Promise<void> {
    await setYields(this.#file('cpu', id, ''), true);
  }

  /** Memory and swap together get the same limit, so there is no swap. The kernel wants memory ≤ both at every moment. */
  async #limitMemory(id: string, memoryBytes: number): Promise<void> {
    const memory = this.#file('memory', id, 'memory.limit_in_bytes');
    const both = this.#file('memory', id, 'memory.memsw.limit_in_bytes');
    const value = String(memoryBytes);
    if (memoryBytes > (await readNumber(memory))) {
      await writeIfThere(both, value);
      await writeFile(memory, value);
    } else {
      await writeFile(memory, value);
      await writeIfThere(both, value);
    }
  }

  async freeze(id: string): Promise<void> {
    const state = this.#file('freezer', id, 'freezer.state');
    await untilKernel(`freezing ${id}`, async () => {
      // Written again while it is FREEZING: a process that was forking may have been missed.
      await writeFile(state, 'FROZEN');
      return (await readFile(state, 'utf8')).trim() === 'FROZEN';
    });
  }

  async thaw(id: string): Promise<void> {
    await writeIfThere(this.#file('freezer', id, 'freezer.state'), 'THAWED');
  }

  async isFrozen(id: string): Promise<boolean> {
    const state = await readFile(this.#file('freezer', id, 'freezer.state'), 'utf8').catch(() => 'THAWED');
    return state.trim() !== 'THAWED';
  }

  async members(id: string): Promise<number[]> {
    return readPids(this.#file('freezer', id, 'cgroup.procs'));
  }

  usage(id: string): CgroupUsage {
    const [cpu, cpuacct, memory, pids] = (['cpu', 'cpuacct', 'memory', 'pids'] as const).map((controller) =>
      this.#file(controller, id, ''),
    ) as [string, string, string, string];
    return usageV1({ cpu, cpuacct, memory, pids });
  }

  async wasOutOfMemory(id: string): Promise<boolean> {
    return (await readKey(this.#file('memory', id, 'memory.oom_control'), 'oom_kill')) > 0;
  }

  async remove(id: string): Promise<void> {
    await Promise.all(
      this.#parents.map(async (parent) => {
        await removeGroup(join(parent, id));
        await removeIfEmpty(parent);
      }),
    );
  }

  async list(): Promise<string[]> {
    const lists = await Promise.all(this.#parents.map(listFolders));
    return [...new Set(lists.flat())];
  }

  #file(controller: V1Controller, id: string, name: string): string {
    return `${this.#mounts[controller]}/${this.#parent}/${id}/${name}`;
  }
}
