/**
 * Where things run. The proxy under test has one core to itself; the load generator and the upstream share the other, and
 * so does this program. Two peers never compete, and a proxy is compared by what its own core can do.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

export interface Cores {
  /** The proxy under test, alone. */
  readonly proxy: number;
  /** Load generator, upstream, and this program. */
  readonly load: number;
}

/** The first two cores that this process may use. Errors: where there are fewer. */
export function chooseCores(): Cores {
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  const [proxy, load] = expand(allowed);
  if (proxy === undefined || load === undefined)
    throw new Error(`two cores are needed, one for the proxy and one for the load; there is ${allowed}`);
  return { proxy, load };
}

/** Moves a process with all its threads; what it starts later stays there too. */
export async function pin(pid: number, core: number): Promise<void> {
  await promisify(execFile)('taskset', ['-acp', String(core), String(pid)]);
}

/** `0-2,5` → 0, 1, 2, 5. */
function expand(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
  });
}
