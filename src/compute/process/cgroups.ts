/**
 * Control groups are what make a limit a limit, a pause a pause, and a stop complete: whatever a process forks stays in
 * its group. There are two kinds of kernel interface (cgroup-v1.ts, cgroup-v2.ts) behind one port, and machines where
 * neither may be written: then there are no limits, and the engine says so.
 */
import type { CgroupUsage } from '../cgroup-usage.ts';
import { readFile } from 'node:fs/promises';
import type { Resources } from '../../cmdb/records.ts';
import { openCgroupsV1, V1_CONTROLLERS, type V1Controller } from './cgroup-v1.ts';
import { openCgroupsV2 } from './cgroup-v2.ts';

/** The groups of one node, one per container, asked by its id. */
export interface Cgroups {
  readonly version: 1 | 2;
  /** Makes a group with these limits. One that is there already is taken over. */
  create(id: string, resources: Resources): Promise<void>;
  /** Puts a process into it; what it forks later is in it too. */
  add(id: string, pid: number): Promise<void>;
  /** It yields to no other group then. */
  update(id: string, resources: Resources): Promise<void>;
  /** The other groups go first, from now on, where the kernel can do that. */
  yieldCpu(id: string): Promise<void>;
  /** Resolves when no process of it runs any more. */
  freeze(id: string): Promise<void>;
  thaw(id: string): Promise<void>;
  isFrozen(id: string): Promise<boolean>;
  /** The processes in it; none when there is no such group. */
  members(id: string): Promise<number[]>;
  /** Errors: ENOENT or ENODEV once the group is gone. */
  usage(id: string): CgroupUsage;
  /** Whether the kernel killed a process of it for want of memory. */
  wasOutOfMemory(id: string): Promise<boolean>;
  /** Removes an empty group; one that is not there is no error. */
  remove(id: string): Promise<void>;
  /** The ids of all groups there are. */
  list(): Promise<string[]>;
}

/**
 * The cgroups that this process may write, under a parent that is the node's own; undefined where there are none.
 * `mountInfo` is the text of /proc/self/mountinfo.
 */
export async function openCgroups(nodeId: string, mountInfo?: string): Promise<Cgroups | undefined> {
  const text = mountInfo ?? (await readFile('/proc/self/mountinfo', 'utf8'));
  const parent = `mayfly-${nodeId}`;
  const mounts = findMounts(text);
  const v1 = mounts.v1 && (await openCgroupsV1(mounts.v1, parent));
  if (v1) return v1;
  return mounts.v2 === undefined ? undefined : openCgroupsV2(mounts.v2, parent);
}

export interface CgroupMounts {
  /** Where each v1 controller is mounted; undefined unless all that are needed are. */
  readonly v1: Readonly<Record<V1Controller, string>> | undefined;
  readonly v2: string | undefined;
}

/** Format: proc_pid_mountinfo(5). */
export function findMounts(mountInfo: string): CgroupMounts {
  const v1: Partial<Record<V1Controller, string>> = {};
  let v2: string | undefined;
  for (const line of mountInfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const mountPoint = left.split(' ')[4];
    const [type, , options = ''] = right.split(' ');
    if (mountPoint === undefined) continue;
    if (type === 'cgroup2') v2 ??= mountPoint;
    if (type !== 'cgroup') continue;
    for (const controller of V1_CONTROLLERS)
      if (options.split(',').includes(controller)) v1[controller] ??= mountPoint;
  }
  const complete = V1_CONTROLLERS.every((controller) => v1[controller] !== undefined);
  return { v1: complete ? (v1 as Record<V1Controller, string>) : undefined, v2 };
}
