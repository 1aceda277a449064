/**
 * What /proc says about processes. A pid alone names nothing: numbers are reused. A process is a pid together with its
 * start time, and the boot it lives in.
 *
 * Reads are synchronous where a signal follows: nothing of ours can be reaped between the look and the kill.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** The unit of the times in /proc/<pid>/stat (USER_HZ): 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Processes looked at before other work gets a turn. */
const SCAN_SLICE = 100;

export interface ProcessStat {
  readonly pid: number;
  /** One letter, see proc(5): R, S, D, T (stopped), Z (dead, not yet reaped) … */
  readonly state: string;
  readonly groupId: number;
  readonly sessionId: number;
  /** When it started, in clock ticks since boot. */
  readonly startTicks: number;
  /** Used by it and by the children it has waited for. */
  readonly cpuMs: number;
}

export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

/** Names the running kernel instance: start times of another boot mean nothing. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Undefined when there is no such process. */
export function readStat(pid: number): ProcessStat | undefined {
  const text = readOrUndefined(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The command's name is in parentheses and may hold anything, so fields are counted after the last one.
  const [state = '', ...numbers] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(numbers[number - 4] ?? 0); // numbered from 1 as in proc(5)
  const ticks = field(14) + field(15) + field(16) + field(17);
  return {
    pid,
    state,
    groupId: field(5),
    sessionId: field(6),
    startTicks: field(22),
    cpuMs: (ticks * 1000) / TICKS_PER_SECOND,
  };
}

/** The process if it is the very one and runs; one that is dead but not yet reaped does not. */
export function readLive({ pid, startTicks }: ProcessIdentity): ProcessStat | undefined {
  const stat = readStat(pid);
  if (stat?.startTicks !== startTicks || stat.state === 'Z' || stat.state === 'X') return undefined;
  return stat;
}

/** Resident memory; 0 when there is no such process. */
export function readMemoryBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readOrUndefined(`/proc/${pid}/status`) ?? '')?.[1];
  return Number(kib ?? 0) * 1024;
}

/** All live processes that the predicate takes. Gives other work a turn in between. */
export async function findProcesses(takes: (process: ProcessStat) => boolean): Promise<ProcessStat[]> {
  const found: ProcessStat[] = [];
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  for (const [index, pid] of pids.entries()) {
    if (index % SCAN_SLICE === SCAN_SLICE - 1) await nextTurn();
    const stat = readStat(pid);
    if (stat && stat.state !== 'Z' && stat.state !== 'X' && takes(stat)) found.push(stat);
  }
  return found;
}

/** Whether it was started with `variable` (`NAME=value`) in its environment, or inherited it. */
export function hasInEnvironment(pid: number, variable: string): boolean {
  return readOrUndefined(`/proc/${pid}/environ`)?.split('\0').includes(variable) ?? false;
}

/** Sends a signal; a process (or group, as a negative number) that is gone already is no error. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // gone meanwhile, or of another user: not one of ours
  }
}
