/** What a program costs is what all its processes cost; what a platform's apps cost is not the platform's. */
import { readdirSync, readFileSync } from 'node:fs';
import { CONTAINER_VARIABLE } from '../../../src/compute/process/launch.ts';
import { readStat } from '../../../src/compute/process/proc.ts';

/** A process and its descendants, without the apps that Mayfly's process engine runs and their descendants. */
export function processTree(rootPid: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    const parent = parentOf(pid);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [rootPid];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []).filter((child) => !isApp(child)));
  return tree;
}

/** CPU time used so far, user and system, in ms (to 10 ms, see proc(5)). Errors: where one of them has ended. */
export function cpuMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const stat = readStat(pid);
    if (stat === undefined) throw new Error(`process ${pid} ended while it was measured`);
    return sum + stat.cpuMs;
  }, 0);
}

function parentOf(pid: number): number | undefined {
  const text = read(`/proc/${pid}/stat`);
  // The name in parentheses may hold anything; after it come the state and the parent.
  return text === undefined ? undefined : Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
}

function isApp(pid: number): boolean {
  const variables = read(`/proc/${pid}/environ`)?.split('\0') ?? [];
  return variables.some((variable) => variable.startsWith(`${CONTAINER_VARIABLE}=`));
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // it has ended meanwhile, or is not ours to look at
  }
}
