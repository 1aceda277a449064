/**
 * The folder of everything that must last on one machine: the database, the node's identity, the process engine's state.
 * One program uses it at a time. Each that opens it leaves a file named by its process id and start time, then looks for
 * others: it goes back if one of them lives, and sweeps away what the dead left. Of two that come at the same instant at
 * most one gets in, because no name is ever used by two processes.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { PlatformError } from './errors.ts';
import { newId } from './ids.ts';

export interface DataDir {
  readonly path: string;
  readonly databasePath: string;
  /**
   * The same at every start: containers are found again by it. Kept in a file, and by the database as that of its node:
   * `recorded`, the ids of those it has, is asked where there is no file.
   */
  nodeId(recorded: readonly string[]): string;
  /** Lets another program have it. */
  release(): void;
}

/** Errors: `invalid_config` (cannot be written, or another program that runs uses it). */
export function openDataDir(path: string): DataDir {
  try {
    makeFolder(path);
    const lockPath = takeLock(path);
    return {
      path,
      databasePath: join(path, 'mayfly.db'),
      nodeId: ([only, ...others]) =>
        readOrCreate(join(path, 'node-id'), () =>
          only !== undefined && others.length === 0 ? only : newId('node'),
        ),
      release: () => rmSync(lockPath, { force: true }),
    };
  } catch (cause) {
    if (cause instanceof PlatformError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PlatformError('invalid_config', `the data directory ${path} cannot be used: ${reason}`, {
      cause,
      hint: 'Name a folder you may write to with --data.',
    });
  }
}

/** As `mkdir -p`. Node's own never ends where a folder can have no others, below /proc for instance. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (thrown) {
    // Another program has just made it; a link that leads nowhere is there and is not.
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST' || !existsSync(path)) throw thrown;
  }
}

/** Returns the path of the file that says that this process uses the folder. */
function takeLock(path: string): string {
  const mine = `lock.${process.pid}.${startTime(process.pid) ?? ''}`;
  const minePath = join(path, mine);
  writeFileSync(minePath, '');
  for (const name of readdirSync(path)) {
    const [, pid, started = ''] = /^lock\.(\d+)\.(\d*)$/.exec(name) ?? [];
    if (pid === undefined || name === mine) continue;
    if (isRunning(Number(pid), started)) {
      rmSync(minePath, { force: true });
      throw new PlatformError('invalid_config', `the data directory ${path} is in use by process ${pid}`, {
        hint: 'Stop that one first, or name another folder with --data.',
      });
    }
    rmSync(join(path, name), { force: true });
  }
  return minePath;
}

/** Whether the very process that took a lock runs still: its id alone may have been given to another since. */
function isRunning(pid: number, started: string): boolean {
  if (started !== '') return startTime(pid) === started;
  try {
    process.kill(pid, 0); // no /proc here: all there is to ask is whether the id is in use
    return pid !== process.pid;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Clock ticks since boot at which the process started (fields 3 and 22 of proc_pid_stat(5)); undefined if it has ended. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const isDead = fields[0] === 'Z' || fields[0] === 'X'; // killed, and nobody has asked for its exit code yet
    return isDead ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function readOrCreate(path: string, create: () => string): string {
  const known = readIfThere(path);
  if (known !== '') return known;
  const value = create();
  // Whole or not at all, also when the power fails: a node that lost its id would not know its containers.
  const file = openSync(`${path}.new`, 'w');
  try {
    writeFileSync(file, `${value}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  return value;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    return '';
  }
}
