/**
 * What a container gets of CPUs that more want than there are (`--cpu-overcommit`): its part in proportion to what it was
 * given, not as much as any other. Where nobody has to wait it changes nothing.
 * Bounds are the kernel's: scheduler/sched-design-CFS (`cpu.shares`), admin-guide/cgroup-v2 (`cpu.weight`).
 */

/** For cgroup v1, and for Docker, which counts so on both. A CPU is 1024. */
export function cpuShares(cpu: number): number {
  return Math.min(Math.max(Math.round(cpu * 1024), 2), 262_144);
}

/** For cgroup v2. A CPU is 100. */
export function cpuWeight(cpu: number): number {
  return Math.min(Math.max(Math.round(cpu * 100), 1), 10_000);
}
