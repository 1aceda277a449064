/** What the kernel knows of a program's workers: which there are, and whose a connection is. Linux only, as the engines are. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readStat } from '../../src/compute/process/proc.ts';

const ENTRY = 'workers/worker-main.ts';

/** The pids of the workers that this program has started and that live, by their place. */
export function workersOf(programPid: number): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const pid = Number(entry);
    let words: string[];
    try {
      words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!words.some((word) => word.endsWith(ENTRY)) || parentOf(pid) !== programPid) continue;
    } catch {
      continue; // ended meanwhile
    }
    if (readStat(pid)?.state === 'Z') continue;
    const place = Number(words[words.findIndex((word) => word.endsWith(ENTRY)) + 1]);
    found.set(place, [...(found.get(place) ?? []), pid]);
  }
  return found;
}

/** All of them, in no particular order. */
export function workerPids(programPid: number): number[] {
  return [...workersOf(programPid).values()].flat();
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** The ports of the clients whose connections to `port` this process has accepted. */
export function clientsOf(pid: number, port: number): Set<number> {
  const sockets = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) sockets.add(inode);
    } catch {
      // closed meanwhile
    }
  }
  const clients = new Set<number>();
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local = '', remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/);
    const isOurs = state === '01' && portOf(local) === port && sockets.has(inode);
    if (isOurs) clients.add(portOf(remote));
  }
  return clients;
}

function portOf(address: string): number {
  return parseInt(address.split(':')[1] ?? '', 16);
}

export function isAlive(pid: number): boolean {
  const state = readStat(pid)?.state;
  return state !== undefined && state !== 'Z' && state !== 'X';
}
