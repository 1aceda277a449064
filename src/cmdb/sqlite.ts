/**
 * The embedded store: one SQLite file in WAL mode, for one machine. Several processes may open it.
 *
 * Calls run on the caller's thread and take some tens of microseconds, which is less than handing them to another one
 * would. What can take long is waiting, and none of it blocks: for a lock that another process holds calls wait in line,
 * the first trying it again from a timer, and only definitions wait for the disk (see durability.ts).
 *
 * This is the only file that knows better-sqlite3.
 */
import { closeSync, openSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { applyOperations } from './apply.ts';
import { eventRange, fullRetention, pageLimit, retainedAfter } from './bounds.ts';
import { mustSurvivePowerLoss } from './durability.ts';
import { Wakeups, watchChanges } from './feed.ts';
import type { Event, Kind, RecordOf } from './records.ts';
import { isBusy, storeError } from './sqlite-errors.ts';
import { migrate } from './sqlite-schema.ts';
import { SqliteTables } from './sqlite-tables.ts';
import { cursorLost, storeClosed } from './store-errors.ts';
import type { Change, EventFilter, ListOptions, Operation, RetentionOptions, Store } from './store.ts';

export interface SqliteStoreOptions {
  /** The database file; made if it is not there, its folder is not. */
  path: string;
  retention?: Partial<RetentionOptions>;
}

/** How long opening may wait for another process that opens or migrates the same file. */
const OPEN_TIMEOUT_MS = 5000;
/** How long a call may wait for a lock in all. */
const BUSY_LIMIT_MS = 5000;
const BUSY_RETRY_MAX_MS = 20;
/** How often a watcher looks for commits of other processes. */
const POLL_MS = 500;

/**
 * Opens the file, or makes it, and brings its schema up to date.
 * Errors: `store_unavailable` (it cannot be opened, is no database of ours, or a newer version's), `invalid_config`.
 */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  const retention = fullRetention(options.retention);
  return new SqliteStore(openDatabase(options.path), options.path, retention);
}

/** Blocks while another process opens the same file, for a bounded time: there is nothing else to do without a store. */
function openDatabase(path: string): Database.Database {
  const deadlineMs = performance.now() + OPEN_TIMEOUT_MS;
  for (;;) {
    try {
      return tryToOpen(path);
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadlineMs) throw storeError(error, path);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * BUSY_RETRY_MAX_MS);
  }
}

function tryToOpen(path: string): Database.Database {
  // Secrets of apps are in it. SQLite gives its other files the same permissions.
  closeSync(openSync(path, 'a', 0o600));
  // SQLite itself would wait for a lock on the caller's thread.
  const db = new Database(path, { timeout: 0 });
  try {
    db.pragma('journal_mode = WAL');
    migrate(db, path);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Locks a file for this program, until the returned function is called or the program ends, however it does. The kernel keeps
 * the lock, for programs too that do not see each other's processes. Returns undefined while another program has it.
 */
export function lockFile(path: string): (() => void) | undefined {
  closeSync(openSync(path, 'a', 0o600));
  const db = new Database(path, { timeout: 0 });
  try {
    db.pragma('journal_mode = MEMORY'); // nothing is written to it, nor beside it
    db.exec('BEGIN EXCLUSIVE');
    return () => db.close();
  } catch (thrown) {
    db.close();
    if (isBusy(thrown)) return undefined;
    throw thrown;
  }
}

class SqliteStore implements Store {
  readonly driver = 'sqlite';
  readonly #db: Database.Database;
  readonly #path: string;
  readonly #retention: RetentionOptions;
  readonly #tables: SqliteTables;
  readonly #wakeups = new Wakeups((someoneWaits) => this.#poll(someoneWaits));
  #pollTimer: NodeJS.Timeout | undefined;
  #dataVersion: unknown;
  #synchronous: 'FULL' | 'NORMAL' | undefined;
  /** Settles when nobody waits any more for a lock that another process holds. */
  #line: Promise<unknown> = Promise.resolve();

  constructor(db: Database.Database, path: string, retention: RetentionOptions) {
    this.#db = db;
    this.#path = path;
    this.#retention = retention;
    this.#tables = new SqliteTables((sql) => db.prepare(sql));
  }

  async get<K extends Kind>(kind: K, id: string): Promise<RecordOf[K] | undefined> {
    return this.#attempt(() => this.#tables.get(kind, id) as RecordOf[K] | undefined);
  }

  async list<K extends Kind>(kind: K, options: ListOptions<K> = {}): Promise<RecordOf[K][]> {
    const { where = {}, after = '' } = options;
    const limit = pageLimit(options.limit);
    return this.#attempt(() => this.#tables.list({ kind, where, after, limit }) as RecordOf[K][]);
  }

  async findByClaim<K extends Kind>(kind: K, claim: string): Promise<RecordOf[K] | undefined> {
    return this.#attempt(() => this.#tables.findByClaim(kind, claim) as RecordOf[K] | undefined);
  }

  async commit(operations: readonly Operation[]): Promise<number> {
    const synchronous = mustSurvivePowerLoss(operations) ? 'FULL' : 'NORMAL';
    const revision = await this.#attempt(() => {
      this.#setSynchronous(synchronous);
      return this.#db.transaction(() => this.#apply(operations)).immediate();
    });
    if (operations.length > 0) this.#wakeups.notify();
    return revision;
  }

  async listEvents(filter: EventFilter = {}): Promise<Event[]> {
    return this.#attempt(() => {
      const floor = retainedAfter(this.#tables.newestSequence(), this.#retention.maxEvents);
      return this.#tables.events(filter, eventRange(filter, floor));
    });
  }

  async revision(): Promise<number> {
    return this.#attempt(() => this.#tables.newestRevision());
  }

  watch(since: number, signal: AbortSignal): AsyncIterable<Change> {
    return watchChanges((cursor) => this.#readChanges(cursor), this.#wakeups, since, signal);
  }

  async close(): Promise<void> {
    this.#db.close();
    this.#wakeups.notify();
  }

  #apply(operations: readonly Operation[]): number {
    const before = this.#tables.logEnds();
    applyOperations(this.#tables, operations);
    this.#tables.trim(before, this.#retention);
    return this.#tables.newestRevision();
  }

  /**
   * In WAL mode FULL flushes the log at every commit, NORMAL only around a checkpoint (one in some hundred commits).
   * A FULL commit flushes the NORMAL ones before it too, so what a power loss takes is always the newest of them.
   */
  #setSynchronous(level: 'FULL' | 'NORMAL'): void {
    if (this.#synchronous === level) return;
    this.#db.pragma(`synchronous = ${level}`);
    this.#synchronous = level;
  }

  #readChanges(since: number): Promise<Change[]> {
    // One transaction: another process must not trim between the look at the ends and the page.
    const read = this.#db.transaction(() => {
      const newest = this.#tables.newestRevision();
      const deleted = Math.max(0, this.#tables.oldestRevision() - 1);
      const floor = Math.max(deleted, retainedAfter(newest, this.#retention.maxChanges));
      if (since < floor || since > newest) throw cursorLost(since, { floor, newest });
      return this.#tables.changes(since);
    });
    return this.#attempt(() => read());
  }

  /** Wakes the watchers when another process has written. A look too many is harmless: they read the log itself. */
  #poll(someoneWaits: boolean): void {
    clearInterval(this.#pollTimer);
    if (!someoneWaits || !this.#db.open) return;
    this.#pollTimer = setInterval(() => {
      if (this.#writtenByOthers()) this.#wakeups.notify();
    }, POLL_MS).unref();
  }

  #writtenByOthers(): boolean {
    try {
      const before = this.#dataVersion;
      this.#dataVersion = this.#db.pragma('data_version', { simple: true });
      return this.#dataVersion !== before;
    } catch {
      return true; // the watchers meet the same failure when they read, and can report it
    }
  }

  /** Does the work now; when another process holds the lock, after those who wait for it already, for a bounded time. */
  async #attempt<T>(work: () => T): Promise<T> {
    const deadlineMs = performance.now() + BUSY_LIMIT_MS;
    const done = this.#try(work, deadlineMs);
    if (done) return done.result;
    const turn = this.#line.then(() => this.#tryAgain(work, deadlineMs));
    this.#line = turn.catch(() => undefined);
    return turn;
  }

  /** Of all who wait one is here, so that the lock is tried as often for many as for one. */
  async #tryAgain<T>(work: () => T, deadlineMs: number): Promise<T> {
    await nextTurn(); // the one before may have waited for the disk, and the next will
    for (;;) {
      const done = this.#try(work, deadlineMs);
      if (done) return done.result;
      await delay(1 + Math.random() * BUSY_RETRY_MAX_MS);
    }
  }

  /** undefined: another process holds the lock. */
  #try<T>(work: () => T, deadlineMs: number): { readonly result: T } | undefined {
    if (!this.#db.open) throw storeClosed();
    try {
      return { result: work() };
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadlineMs) throw storeError(error, this.#path);
      return undefined;
    }
  }
}
