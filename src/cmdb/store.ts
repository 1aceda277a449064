/**
 * The store port: all that the Core API asks of a database. Small enough for SQLite, Redis or a Map to fulfil, and
 * every driver passes the same suite (test/contract/store.ts).
 *
 * There is one way to write: a `commit` of several operations that all happen or none does. Preconditions are part of
 * it: an update names the generation it was decided on, and *claims* (`host:example.a`, `app:ten_1/shop`) are unique
 * over the whole store. A decision that lost a race is a `conflict` and is made anew on fresh records.
 */
import type { Event, Kind, RecordOf } from './records.ts';

/** What the caller supplies of a new record; the store adds `generation: 1`. */
export type NewRecord<K extends Kind> = Omit<RecordOf[K], 'generation'>;

export type Operation =
  | { [K in Kind]: { op: 'create'; kind: K; record: NewRecord<K>; claims?: readonly string[] } }[Kind]
  | {
      [K in Kind]: {
        op: 'update';
        kind: K;
        id: string;
        /** The generation the change was decided on; another one in the store is a `conflict`. */
        ifGeneration: number;
        /** Fields to replace, whole; `id`, `generation` and `createdAtMs` cannot be. */
        set: Partial<Omit<RecordOf[K], 'id' | 'generation' | 'createdAtMs'>>;
        /** Replaces the record's claims; left out, they stay. */
        claims?: readonly string[];
      };
    }[Kind]
  | { op: 'delete'; kind: Kind; id: string; ifGeneration?: number }
  /** Changes nothing, and nobody hears of it: what the commit was decided on has to be as it was; 0: not there. */
  | { op: 'expect'; kind: Kind; id: string; ifGeneration: number }
  | { op: 'event'; event: Omit<Event, 'sequence'> };

/** The fields records can be listed by. */
export interface Filters {
  tenant: Record<string, never>;
  token: Record<string, never>;
  grade: Record<string, never>;
  app: { tenantId?: string };
  size: Record<string, never>;
  revision: { appId?: string };
  certificate: { appId?: string };
  container: { appId?: string; nodeId?: string };
  node: Record<string, never>;
}

export interface ListOptions<K extends Kind> {
  where?: Filters[K];
  /** Records with an id greater than this one: the last page's last. */
  after?: string;
  /** 1 … 1,000; 100 unless told. */
  limit?: number;
}

export interface EventFilter {
  appId?: string;
  containerId?: string;
  /** Events with a greater sequence, oldest first. Without it: the newest, still oldest first within the page. */
  after?: number;
  /** Events with a smaller sequence: the newest of those, oldest first within the page. Not together with `after`. */
  before?: number;
  /** 1 … 1,000; 100 unless told. */
  limit?: number;
}

/** One entry of the change feed. It says that something changed, not to what: read the record. */
export interface Change {
  /** Ascending without order gaps that matter; the cursor for `watch`. */
  readonly revision: number;
  readonly op: 'create' | 'update' | 'delete' | 'event';
  /** `event` for an entry of the event log, whose sequence is then in `id`. */
  readonly kind: Kind | 'event';
  readonly id: string;
}

export interface Store {
  readonly driver: string;

  get<K extends Kind>(kind: K, id: string): Promise<RecordOf[K] | undefined>;

  /** In order of id. */
  list<K extends Kind>(kind: K, options?: ListOptions<K>): Promise<RecordOf[K][]>;

  /** The record of that kind that holds the claim. */
  findByClaim<K extends Kind>(kind: K, claim: string): Promise<RecordOf[K] | undefined>;

  /**
   * Applies all operations or none; when it resolves they survive kill -9 of this process.
   * Returns the revision after it. Errors: `conflict` (a generation differs, an id exists already), `not_found` (the
   * record to update, delete or expect is not there; with `ifGeneration` on a missing record too), `name_taken` (a claim that
   * another record holds, or on a host that overlaps another tenant's; the message and `fields[0].field` carry the claim
   * that is in the way), `store_unavailable`.
   * Claims are taken after all operations have let go of theirs: their order within the commit does not matter.
   */
  commit(operations: readonly Operation[]): Promise<number>;

  listEvents(filter?: EventFilter): Promise<Event[]>;

  /** The newest change's revision; 0 in a new store. */
  revision(): Promise<number>;

  /**
   * Yields every change after `since`, from now on for ever, in order, until the signal aborts (it then returns).
   * A cursor older than what is retained, or newer than the newest change (the store was put back to an older state),
   * throws `revision_compacted`: read everything, then watch from `revision()`. Closing the store ends it with
   * `store_unavailable`.
   */
  watch(since: number, signal: AbortSignal): AsyncIterable<Change>;

  /** Lets go of files, timers and watchers. Further calls fail with `store_unavailable`. */
  close(): Promise<void>;
}

/** Bounds that every driver keeps. */
export interface RetentionOptions {
  /** Events kept in all; the oldest go first. */
  readonly maxEvents: number;
  /** Changes that `watch` can still be given. */
  readonly maxChanges: number;
}

export const DEFAULT_RETENTION: RetentionOptions = { maxEvents: 100_000, maxChanges: 10_000 };
