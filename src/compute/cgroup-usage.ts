/**
 * What a cgroup uses, from its files. They are read at once and in place: each is a few hundred bytes that the kernel has in
 * memory, and a detour over Node's thread pool would cost several times the reading.
 */
import { KernelFiles } from './kernel-files.ts';

export interface CgroupUsage {
  /** CPU time used since its start. */
  readonly cpuMs: number;
  /** What cannot be given back at once: without the page cache that nobody uses. */
  readonly memoryBytes: number;
  readonly pids: number;
  /** Scheduling periods (100 ms each) in which it ran under a quota, and those in which that was used up. */
  readonly periods: number;
  readonly throttledPeriods: number;
  /** Processes of it that the kernel has killed for want of memory. */
  readonly oomKills: number;
}

/** The folders of one group in the hierarchies of cgroup v1. */
export interface CgroupV1Folders {
  readonly cpu: string;
  readonly cpuacct: string;
  readonly memory: string;
  readonly pids: string;
}

/** Errors: ENOENT or ENODEV once the group is gone. */
export function usageV1({ cpu, cpuacct, memory, pids }: CgroupV1Folders): CgroupUsage {
  const scheduled = readOrNothing(`${cpu}/cpu.stat`);
  const used = number(`${memory}/memory.usage_in_bytes`);
  const cache = field(read(`${memory}/memory.stat`), 'total_inactive_file');
  return {
    cpuMs: number(`${cpuacct}/cpuacct.usage`) / 1e6,
    memoryBytes: Math.max(0, used - cache),
    pids: number(`${pids}/pids.current`),
    periods: field(scheduled, 'nr_periods'),
    throttledPeriods: field(scheduled, 'nr_throttled'),
    oomKills: field(readOrNothing(`${memory}/memory.oom_control`), 'oom_kill'),
  };
}

/** Errors: as `usageV1`. */
export function usageV2(folder: string): CgroupUsage {
  const scheduled = read(`${folder}/cpu.stat`);
  const used = number(`${folder}/memory.current`);
  const cache = field(read(`${folder}/memory.stat`), 'inactive_file');
  return {
    cpuMs: field(scheduled, 'usage_usec') / 1e3,
    memoryBytes: Math.max(0, used - cache),
    pids: number(`${folder}/pids.current`),
    periods: field(scheduled, 'nr_periods'),
    throttledPeriods: field(scheduled, 'nr_throttled'),
    oomKills: field(readOrNothing(`${folder}/memory.events`), 'oom_kill'),
  };
}

/** Those of containers that are looked at several times a second. */
const files = new KernelFiles();

function read(path: string): string {
  return files.read(path);
}

/** Of what not every kernel has. */
function readOrNothing(path: string): string {
  try {
    return read(path);
  } catch {
    return '';
  }
}

function number(path: string): number {
  return Number(read(path));
}

/** The number behind a name in lines of `name number`; 0 where there is none. */
function field(lines: string, name: string): number {
  const at = `\n${lines}`.indexOf(`\n${name} `);
  return at === -1 ? 0 : Number.parseInt(lines.slice(at + name.length + 1), 10);
}
