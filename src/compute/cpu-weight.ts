/**
 * What a container gets of CPUs that more want than there are (`--cpu-overcommit`): its part in proportion to what it was
 * given, not as much as any other. Where nobody has to wait it changes nothing.
 * Bounds are the kernel's: scheduler/sched-design-CFS (`cpu.shares`), admin-guide/cgroup-v2 (`cpu.weight`).
 */
import { constants } from 'node:fs';
import { writeFile } from 'node:fs/promises';

/** For cgroup v1, and for Docker, which counts so on both. A CPU is 1024. */
export function cpuShares(cpu: number): number {
  return Math.min(Math.max(Math.round(cpu * 1024), 2), 262_144);
}

/** For cgroup v2. A CPU is 100. */
export function cpuWeight(cpu: number): number {
  return Math.min(Math.max(Math.round(cpu * 100), 1), 10_000);
}

/**
 * Whether a group lets its siblings go first (`cpu.idle`). The kernel takes no weight for one that does, and forgets the one it had. `folder`: of
 * the group, where its CPU is controlled. Nothing happens where there is no such file, or it may not be written.
 */
export async function setYields(folder: string, yields: boolean): Promise<void> {
  const flag = constants.O_WRONLY | constants.O_TRUNC;
  await writeFile(`${folder}/cpu.idle`, yields ? '1' : '0', { flag }).catch((error: unknown) => {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOENT', 'ENODEV', 'EACCES', 'EPERM', 'EROFS'].includes(code)) throw error;
  });
}
