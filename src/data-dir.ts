/**
 * The folder of everything that must last on one machine: the database, the node's identity, the process engine's state.
 * One program uses it at a time: it holds a lock on a file in it, which the kernel lets go of when the program ends. So two
 * containers that share the folder keep each other out as well, which cannot see each other's processes. Beside it is the
 * number of the process, for people.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
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

/** Locks a file until the returned function is called; undefined while another program has it. */
export type LockFile = (path: string) => (() => void) | undefined;

/** Errors: `invalid_config` (cannot be written, or another program that runs uses it). */
export function openDataDir(path: string, lockFile: LockFile): DataDir {
  try {
    makeFolder(path);
    const release = takeLock(path, lockFile);
    return {
      path,
      databasePath: join(path, 'mayfly.db'),
      nodeId: ([only, ...others]) =>
        readOrCreate(join(path, 'node-id'), () =>
          only !== undefined && others.length === 0 ? only : newId('node'),
        ),
      release,
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

function takeLock(path: string, lockFile: LockFile): () => void {
  const unlock = lockFile(join(path, 'lock.db'));
  const holderPath = join(path, 'lock.pid');
  if (!unlock) {
    throw new PlatformError(
      'invalid_config',
      `the data directory ${path} is in use by ${nameIn(holderPath)}`,
      {
        hint: 'Stop that one first, or name another folder with --data.',
      },
    );
  }
  writeFileSync(holderPath, `${process.pid} ${startTime(process.pid) ?? ''}\n`);
  return () => {
    rmSync(holderPath, { force: true });
    unlock();
  };
}

/** Whoever wrote the file, where that very process is one of those seen here: its number alone may be another's by now. */
function nameIn(holderPath: string): string {
  const [pid = '', started = ''] = readIfThere(holderPath).split(' ');
  const isHere = started !== '' && startTime(Number(pid)) === started;
  return isHere ? `process ${pid}` : 'a program whose process is not seen here, as in another container';
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
