/**
 * The folder of everything that must last on one machine: the database, the node's identity, the process engine's state.
 * One program uses it at a time; a killed one leaves a lock that says so by its dead owner.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PlatformError } from './errors.ts';
import { newId } from './ids.ts';

export interface DataDir {
  readonly path: string;
  readonly databasePath: string;
  /** The same at every start: containers are found again by it. */
  readonly nodeId: string;
  /** Lets another program have it. */
  release(): void;
}

/** Errors: `invalid_config` (cannot be written, or another program that runs uses it). */
export function openDataDir(path: string): DataDir {
  const lockPath = join(path, 'lock');
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    takeLock(path, lockPath);
    return {
      path,
      databasePath: join(path, 'mayfly.db'),
      nodeId: readOrCreate(join(path, 'node-id'), () => newId('node')),
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

function takeLock(path: string, lockPath: string): void {
  const me = `${process.pid} ${startTime(process.pid) ?? ''}`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(lockPath, me, { flag: 'wx' });
      return;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
      const [pid = '', started = ''] = readFileSync(lockPath, 'utf8').split(' ');
      // A pid alone may have been given to somebody else since; its start time tells.
      if (pid !== String(process.pid) && started !== '' && startTime(Number(pid)) === started) {
        throw new PlatformError('invalid_config', `the data directory ${path} is in use by process ${pid}`, {
          hint: 'Stop that one first, or name another folder with --data.',
        });
      }
      rmSync(lockPath, { force: true });
    }
  }
}

/** Clock ticks since boot at which the process started (field 22 of proc(5) stat); undefined if there is none. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function readOrCreate(path: string, create: () => string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
    const value = create();
    writeFileSync(path, `${value}\n`, { flag: 'wx' });
    return value;
  }
}
