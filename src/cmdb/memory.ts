/**
 * The store of tests and simulations: maps in memory, gone with the process. Records are kept as JSON text, so what goes
 * in and what comes out shares nothing with the inside and looks exactly as it would out of a database.
 */
import { applyOperations, type Holder, type Tables } from './apply.ts';
import { eventRange, fullRetention, pageLimit, retainedAfter } from './bounds.ts';
import { CHANGE_PAGE, Wakeups, watchChanges } from './feed.ts';
import { MemoryLog } from './memory-log.ts';
import type { Event, Kind, RecordBase, RecordOf } from './records.ts';
import { cursorLost, storeClosed } from './store-errors.ts';
import type { Change, EventFilter, ListOptions, Operation, RetentionOptions, Store } from './store.ts';

export interface MemoryStoreOptions {
  retention?: Partial<RetentionOptions>;
}

/** Errors: `invalid_config` (a retention out of bounds). */
export function openMemoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(fullRetention(options.retention));
}

class MemoryStore implements Store {
  readonly driver = 'memory';
  readonly #tables = new MemoryTables();
  readonly #wakeups = new Wakeups();
  readonly #retention: RetentionOptions;
  #closed = false;

  constructor(retention: RetentionOptions) {
    this.#retention = retention;
  }

  async get<K extends Kind>(kind: K, id: string): Promise<RecordOf[K] | undefined> {
    this.#expectOpen();
    return this.#tables.get(kind, id) as RecordOf[K] | undefined;
  }

  async list<K extends Kind>(kind: K, options: ListOptions<K> = {}): Promise<RecordOf[K][]> {
    this.#expectOpen();
    const after = options.after ?? '';
    const limit = pageLimit(options.limit);
    const where = Object.entries(options.where ?? {}) as [keyof RecordOf[K], unknown][];
    const found: RecordOf[K][] = [];
    for (const id of this.#tables.idsOf(kind).sort()) {
      if (found.length === limit) break;
      if (id <= after) continue;
      const record = this.#tables.get(kind, id) as RecordOf[K];
      if (where.every(([field, value]) => value === undefined || record[field] === value)) found.push(record);
    }
    return found;
  }

  async findByClaim<K extends Kind>(kind: K, claim: string): Promise<RecordOf[K] | undefined> {
    this.#expectOpen();
    const holder = this.#tables.holderOf(claim);
    return holder?.kind === kind ? this.get(kind, holder.id) : undefined;
  }

  async commit(operations: readonly Operation[]): Promise<number> {
    this.#expectOpen();
    this.#tables.transaction(() => applyOperations(this.#tables, operations));
    this.#tables.trim(this.#retention);
    if (operations.length > 0) this.#wakeups.notify();
    return this.#tables.changes.newest;
  }

  async listEvents(filter: EventFilter = {}): Promise<Event[]> {
    this.#expectOpen();
    const log = this.#tables.events;
    const range = eventRange(filter, retainedAfter(log.newest, this.#retention.maxEvents));
    const first = range.after + 1;
    const last = Math.min(range.before - 1, log.newest);
    const found: Event[] = [];
    for (let step = 0; step <= last - first && found.length < range.limit; step++) {
      const sequence = range.newestFirst ? last - step : first + step;
      const event = { sequence, ...(JSON.parse(log.at(sequence)) as Omit<Event, 'sequence'>) };
      if (filter.appId !== undefined && event.appId !== filter.appId) continue;
      if (filter.containerId !== undefined && event.containerId !== filter.containerId) continue;
      found.push(event);
    }
    return range.newestFirst ? found.reverse() : found;
  }

  async revision(): Promise<number> {
    this.#expectOpen();
    return this.#tables.changes.newest;
  }

  watch(since: number, signal: AbortSignal): AsyncIterable<Change> {
    return watchChanges((cursor) => this.#readChanges(cursor), this.#wakeups, since, signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wakeups.notify();
  }

  async #readChanges(since: number): Promise<Change[]> {
    this.#expectOpen();
    const log = this.#tables.changes;
    const floor = retainedAfter(log.newest, this.#retention.maxChanges);
    if (since < floor || since > log.newest) throw cursorLost(since, { floor, newest: log.newest });
    const page: Change[] = [];
    for (let revision = since + 1; revision <= log.newest && page.length < CHANGE_PAGE; revision++) {
      page.push({ revision, ...log.at(revision) });
    }
    return page;
  }

  #expectOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

/** The tables, and the way back: every write remembers how to undo itself until its transaction has succeeded. */
class MemoryTables implements Tables {
  readonly changes = new MemoryLog<Omit<Change, 'revision'>>();
  readonly events = new MemoryLog<string>();
  readonly #records = new Map<Kind, Map<string, string>>();
  readonly #claims = new Map<string, Holder>();
  readonly #claimsOf = new Map<string, Set<string>>();
  #undo: (() => void)[] = [];

  transaction(work: () => void): void {
    this.#undo = [];
    try {
      work();
    } catch (error) {
      for (const undo of this.#undo.reverse()) undo();
      throw error;
    } finally {
      this.#undo = [];
    }
  }

  trim(retention: RetentionOptions): void {
    this.changes.trim(retention.maxChanges);
    this.events.trim(retention.maxEvents);
  }

  idsOf(kind: Kind): string[] {
    return [...this.#recordsOf(kind).keys()];
  }

  get(kind: Kind, id: string): RecordBase | undefined {
    const body = this.#recordsOf(kind).get(id);
    return body === undefined ? undefined : (JSON.parse(body) as RecordBase);
  }

  insert(kind: Kind, record: RecordBase): void {
    this.#recordsOf(kind).set(record.id, JSON.stringify(record));
    this.#undo.push(() => this.#recordsOf(kind).delete(record.id));
  }

  replace(kind: Kind, record: RecordBase): void {
    this.#undoTo(kind, record.id);
    this.#recordsOf(kind).set(record.id, JSON.stringify(record));
  }

  remove(kind: Kind, id: string): void {
    this.#undoTo(kind, id);
    this.#recordsOf(kind).delete(id);
  }

  holderOf(claim: string): Holder | undefined {
    return this.#claims.get(claim);
  }

  take(claim: string, holder: Holder): void {
    this.#addClaim(claim, holder);
    this.#undo.push(() => this.#dropClaim(claim, holder));
  }

  release(holder: Holder): string[] {
    const released = [...(this.#claimsOf.get(keyOf(holder)) ?? [])];
    for (const claim of released) {
      this.#dropClaim(claim, holder);
      this.#undo.push(() => this.#addClaim(claim, holder));
    }
    return released;
  }

  heldByOthers(beginning: string, tenantId: string): string | undefined {
    const isOthers = ({ kind, id }: Holder) =>
      (this.get(kind, id) as { tenantId?: string } | undefined)?.tenantId !== tenantId;
    return [...this.#claims]
      .filter(([claim, holder]) => claim.startsWith(beginning) && isOthers(holder))
      .map(([claim]) => claim)
      .sort()[0];
  }

  appendEvent(event: Omit<Event, 'sequence'>): number {
    this.events.append(JSON.stringify(event));
    this.#undo.push(() => this.events.dropNewest());
    return this.events.newest;
  }

  appendChange(change: Omit<Change, 'revision'>): void {
    this.changes.append(change);
    this.#undo.push(() => this.changes.dropNewest());
  }

  #recordsOf(kind: Kind): Map<string, string> {
    let records = this.#records.get(kind);
    if (!records) {
      records = new Map();
      this.#records.set(kind, records);
    }
    return records;
  }

  #undoTo(kind: Kind, id: string): void {
    const before = this.#recordsOf(kind).get(id);
    if (before !== undefined) this.#undo.push(() => this.#recordsOf(kind).set(id, before));
  }

  #addClaim(claim: string, holder: Holder): void {
    this.#claims.set(claim, holder);
    const own = this.#claimsOf.get(keyOf(holder));
    if (own) own.add(claim);
    else this.#claimsOf.set(keyOf(holder), new Set([claim]));
  }

  #dropClaim(claim: string, holder: Holder): void {
    this.#claims.delete(claim);
    const own = this.#claimsOf.get(keyOf(holder));
    own?.delete(claim);
    if (own?.size === 0) this.#claimsOf.delete(keyOf(holder));
  }
}

function keyOf(holder: Holder): string {
  return `${holder.kind}/${holder.id}`;
}
