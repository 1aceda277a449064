/** What the kernel holds a process to, read from its cgroups (version 1 or 2). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Resources } from '../../src/cmdb/records.ts';

/** In Mayfly's words. */
export function processLimits(pid: number): Resources {
  const { isV1, read } = cgroupOf(pid);
  if (isV1)
    return {
      cpu: Number(read('cpu', 'cpu', 'cpu.cfs_quota_us')) / Number(read('cpu', 'cpu', 'cpu.cfs_period_us')),
      memoryBytes: Number(read('memory', 'memory', 'memory.limit_in_bytes')),
      pidsMax: Number(read('pids', 'pids', 'pids.max')),
    };
  const [quota, period] = read('', '', 'cpu.max').split(' ');
  return {
    cpu: Number(quota) / Number(period),
    memoryBytes: Number(read('', '', 'memory.max')),
    pidsMax: Number(read('', '', 'pids.max')),
  };
}

/** What it gets of a CPU that others want as well, in proportion to them. */
export function processCpuWeight(pid: number): number {
  const { isV1, read } = cgroupOf(pid);
  return Number(isV1 ? read('cpu', 'cpu', 'cpu.shares') : read('', '', 'cpu.weight'));
}

/** Whether others of its kind go first where it and they want a CPU. */
export function processYields(pid: number): boolean {
  const { isV1, read } = cgroupOf(pid);
  return (isV1 ? read('cpu', 'cpu', 'cpu.idle') : read('', '', 'cpu.idle')) === '1';
}

function cgroupOf(pid: number) {
  const paths = new Map<string, string>();
  for (const line of readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n')) {
    const [, names = '', path = ''] = line.split(':');
    for (const name of names.split(',')) paths.set(name, path);
  }
  return {
    isV1: paths.has('memory'),
    read: (group: string, controller: string, file: string) =>
      readFileSync(join('/sys/fs/cgroup', group, paths.get(controller) ?? '', file), 'utf8').trim(),
  };
}
