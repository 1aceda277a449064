/** What starting containers could leave on a machine, counted. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { promisify } from 'node:util';

export type Census = Readonly<Record<string, number>>;

const run = promisify(execFile);

export async function census(): Promise<Census> {
  const lines = async (...args: string[]) => {
    const { stdout } = await run('docker', args);
    return stdout.split('\n').filter((line) => line !== '').length;
  };
  return {
    containers: await lines('ps', '--all', '--quiet'),
    networks: await lines('network', 'ls', '--quiet'),
    'network namespaces': namespaces(),
    'virtual interfaces': readdirSync('/sys/class/net').filter((name) => name.startsWith('veth')).length,
    cgroups: cgroups(),
    mounts: readFileSync('/proc/self/mounts', 'utf8').split('\n').length,
  };
}

/** Distinct network namespaces that some process lives in. */
function namespaces(): number {
  const found = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It has ended, or is not ours to look at.
    }
  }
  return found.size;
}

/** Folders of the memory controller (v1), or of the one hierarchy (v2). The kernel's own count has the dying ones in it. */
function cgroups(): number {
  const v1 = '/sys/fs/cgroup/memory';
  const root = existsSync(v1) ? v1 : '/sys/fs/cgroup';
  return readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory())
    .length;
}
