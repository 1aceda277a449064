/**
 * Control groups, version 2: one hierarchy; a controller works in a group only where its parent passes it on. See the
 * kernel's Documentation/admin-guide/cgroup-v2.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Resources } from '../../cmdb/records.ts';
import { usageV2 } from '../cgroup-usage.ts';
import type { CgroupUsage } from '../cgroup-usage.ts';
import { cpuWeight, setYields } from '../cpu-weight.ts';
import {
  CPU_PERIOD_US,
  cpuQuotaUs,
  listFolders,
  makeFolder,
  makeGroup,
  readKey,
  readPids,
  removeGroup,
  removeIfEmpty,
  untilKernel,
  writeIfThere,
} from './cgroup-files.ts';
import type { Cgroups } from './cgroups.ts';

const CONTROLLERS = ['cpu', 'memory', 'pids'] as const;

/** Undefined where cpu, memory and pids are not there to be passed on, or this process may not write. */
export async function openCgroupsV2(root: string, parent: string): Promise<Cgroups | undefined> {
  const available = await readFile(join(root, 'cgroup.controllers'), 'utf8').catch(() => '');
  if (!CONTROLLERS.every((controller) => available.trim().split(' ').includes(controller))) return undefined;
  const folder = join(root, parent);
  try {
    await passOn(root);
    await makeFolder(folder);
    await passOn(folder);
    return new CgroupsV2(folder);
  } catch {
    return undefined;
  } finally {
    await removeIfEmpty(folder);
  }
}

/** Lets the groups in this one be limited. */
async function passOn(folder: string): Promise<void> {
  const controllers = CONTROLLERS.map((controller) => `+${controller}`).join(' ');
  await writeFile(join(folder, 'cgroup.subtree_control'), controllers);
}

class CgroupsV2 implements Cgroups {
  readonly version = 2;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async create(id: string, resources: Resources): Promise<void> {
    await makeGroup(this.#folder, id, () => passOn(this.#folder));
    await writeIfThere(this.#file(id, 'memory.swap.max'), '0');
    await this.update(id, resources);
  }

  async add(id: string, pid: number): Promise<void> {
    await writeFile(this.#file(id, 'cgroup.procs'), String(pid));
  }

  async update(id: string, resources: Resources): Promise<void> {
    await setYields(join(this.#folder, id), false);
    await Promise.all([
      writeFile(this.#file(id, 'memory.max'), String(resources.memoryBytes)),
      writeFile(this.#file(id, 'cpu.max'), `${cpuQuotaUs(resources.cpu)} ${CPU_PERIOD_US}`),
      writeFile(this.#file(id, 'cpu.weight'), String(cpuWeight(resources.cpu))),
      writeFile(this.#file(id, 'pids.max'), String(resources.pidsMax)),
    ]);
  }

  async yieldCpu(id: string): Promise<void> {
    await setYields(join(this.#folder, id), true);
  }

  async freeze(id: string): Promise<void> {
    await writeFile(this.#file(id, 'cgroup.freeze'), '1');
    await untilKernel(
      `freezing ${id}`,
      async () => (await readKey(this.#file(id, 'cgroup.events'), 'frozen')) === 1,
    );
  }

  async thaw(id: string): Promise<void> {
    await writeIfThere(this.#file(id, 'cgroup.freeze'), '0');
  }

  async isFrozen(id: string): Promise<boolean> {
    return (await readFile(this.#file(id, 'cgroup.freeze'), 'utf8').catch(() => '0')).trim() === '1';
  }

  async members(id: string): Promise<number[]> {
    return readPids(this.#file(id, 'cgroup.procs'));
  }

  usage(id: string): CgroupUsage {
    return usageV2(join(this.#folder, id));
  }

  async wasOutOfMemory(id: string): Promise<boolean> {
    return (await readKey(this.#file(id, 'memory.events'), 'oom_kill')) > 0;
  }

  async remove(id: string): Promise<void> {
    await removeGroup(join(this.#folder, id));
    await removeIfEmpty(this.#folder);
  }

  async list(): Promise<string[]> {
    return listFolders(this.#folder);
  }

  #file(id: string, name: string): string {
    return join(this.#folder, id, name);
  }
}
