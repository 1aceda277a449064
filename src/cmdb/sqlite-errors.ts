/** Turns what SQLite and the file system say into errors that name the file and the way out. */
import { PlatformError } from '../errors.ts';

/** In order: the first whose code is the beginning of the error's code. */
const HINTS: readonly (readonly [codes: readonly string[], hint: string])[] = [
  [['SQLITE_BUSY', 'SQLITE_LOCKED'], 'Another process holds the database for too long; find and end it.'],
  [['SQLITE_FULL', 'ENOSPC'], 'Make room on the disk.'],
  [
    ['SQLITE_NOTADB', 'SQLITE_CORRUPT'],
    'It is no SQLite database or is damaged: restore a copy, or move it away. What has its name with -wal and -shm goes first.',
  ],
  [['ENOENT'], 'Make the folder first.'],
  [
    ['SQLITE_READONLY', 'SQLITE_CANTOPEN', 'SQLITE_PERM', 'EACCES', 'EPERM', 'EROFS', 'EISDIR'],
    'The folder and the file have to be readable and writable for the user that runs this.',
  ],
  [
    ['SQLITE_IOERR', 'SQLITE_NOLFS', 'SQLITE_PROTOCOL', 'EIO'],
    'The disk or file system failed; see the system log.',
  ],
];

/** Another program has the database at this moment. */
export function isBusy(thrown: unknown): boolean {
  return codeOf(thrown).startsWith('SQLITE_BUSY');
}

/** `store_unavailable` when the file, the disk or another process is at fault; `internal` when it is this program. */
export function storeError(thrown: unknown, path: string): PlatformError {
  if (thrown instanceof PlatformError) return thrown;
  const code = codeOf(thrown);
  const hint = HINTS.find(([codes]) => codes.some((prefix) => code.startsWith(prefix)))?.[1];
  if (hint === undefined) return PlatformError.from(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new PlatformError('store_unavailable', `The database ${path} cannot be used: ${message} (${code})`, {
    cause: thrown,
    hint,
  });
}

function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error) || !('code' in thrown)) return '';
  return String(thrown.code);
}
