/** How many connections a process can have that may only open so many files: each is one, and so is the one to an app behind it. */
import { readFileSync } from 'node:fs';
import type { ProxyLog } from '../transport.ts';

/** For all else that a process has open: a database, logs, files of control groups, idle connections to apps. */
const MOST_OTHERS = 2_000;
const OTHERS_SHARE = 0.25;

/**
 * `connections`, or as many as this process can open. Beyond that the kernel would close them without a word, and leave no room
 * for connections to apps.
 */
export function affordable(connections: number, log: ProxyLog): number {
  const openFiles = maxOpenFiles();
  const others = Math.min(MOST_OTHERS, openFiles * OTHERS_SHARE);
  const most = Math.max(1, Math.floor((openFiles - others) / 2));
  if (most >= connections) return connections;
  log.warn(
    { openFiles, connections: most },
    'fewer connections are taken than could be: it may not open more files (ulimit -n)',
  );
  return most;
}

/** Node raises its own soft limit to the hard one as it starts. Infinity: there is none, or it cannot be known. */
function maxOpenFiles(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}
