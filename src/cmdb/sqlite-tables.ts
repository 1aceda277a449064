/** The SQL of the SQLite driver: each question of the port is one prepared statement and one index. */
import type { Holder, Tables } from './apply.ts';
import { type EventRange, TRIM_BATCH } from './bounds.ts';
import { CHANGE_PAGE } from './feed.ts';
import type { Event, Kind, RecordBase } from './records.ts';
import type { Change, RetentionOptions } from './store.ts';

/** What is used of a prepared statement. */
export interface Statement {
  run(...values: unknown[]): { lastInsertRowid: number | bigint };
  get(...values: unknown[]): unknown;
  all(...values: unknown[]): unknown[];
}

/** The fields records are listed by; each has an index. The first that is asked for chooses it. */
const LIST_FIELDS = ['appId', 'tenantId', 'nodeId'] as const;
const EVENT_FIELDS = ['containerId', 'appId'] as const;

export interface ListQuery {
  readonly kind: Kind;
  readonly where: Partial<Record<(typeof LIST_FIELDS)[number], string>>;
  readonly after: string;
  readonly limit: number;
}

/** At most so many entries go in one trim, also when a lower retention leaves far more to delete. */
const TRIM_MAX = 4 * TRIM_BATCH;

export class SqliteTables implements Tables {
  readonly #prepare: (sql: string) => Statement;
  /** By SQL text, of which there are about 30. */
  readonly #statements = new Map<string, Statement>();

  constructor(prepare: (sql: string) => Statement) {
    this.#prepare = prepare;
  }

  get(kind: Kind, id: string): RecordBase | undefined {
    return parse(this.#sql('SELECT body FROM records WHERE kind = ? AND id = ?').get(kind, id));
  }

  list({ kind, where, after, limit }: ListQuery): RecordBase[] {
    const [condition, values] = conditions(LIST_FIELDS, where);
    return this.#sql(`SELECT body FROM records WHERE kind = ?${condition} AND id > ? ORDER BY id LIMIT ?`)
      .all(kind, ...values, after, limit)
      .map((row) => JSON.parse((row as { body: string }).body) as RecordBase);
  }

  findByClaim(kind: Kind, claim: string): RecordBase | undefined {
    return parse(
      this.#sql(
        'SELECT body FROM claims JOIN records USING (kind, id) WHERE claims.claim = ? AND claims.kind = ?',
      ).get(claim, kind),
    );
  }

  insert(kind: Kind, record: RecordBase): void {
    const body = JSON.stringify(record);
    this.#sql('INSERT INTO records (kind, id, body) VALUES (?, ?, ?)').run(kind, record.id, body);
  }

  replace(kind: Kind, record: RecordBase): void {
    const body = JSON.stringify(record);
    this.#sql('UPDATE records SET body = ? WHERE kind = ? AND id = ?').run(body, kind, record.id);
  }

  remove(kind: Kind, id: string): void {
    this.#sql('DELETE FROM records WHERE kind = ? AND id = ?').run(kind, id);
  }

  holderOf(claim: string): Holder | undefined {
    return this.#sql('SELECT kind, id FROM claims WHERE claim = ?').get(claim) as Holder | undefined;
  }

  take(claim: string, { kind, id }: Holder): void {
    this.#sql('INSERT INTO claims (claim, kind, id) VALUES (?, ?, ?)').run(claim, kind, id);
  }

  release({ kind, id }: Holder): string[] {
    const rows = this.#sql('DELETE FROM claims WHERE kind = ? AND id = ? RETURNING claim').all(kind, id);
    return (rows as { claim: string }[]).map(({ claim }) => claim);
  }

  heldByOthers(beginning: string, tenantId: string): string | undefined {
    const found = this.#sql(
      `SELECT claim FROM claims WHERE claim >= ? AND claim < ? AND NOT EXISTS (
         SELECT 1 FROM records INDEXED BY records_by_tenant
         WHERE records.kind = claims.kind AND records.tenantId = ? AND records.id = claims.id
       ) ORDER BY claim LIMIT 1`,
    ).get(beginning, `${beginning}\u{10ffff}`, tenantId);
    return (found as { claim: string } | undefined)?.claim;
  }

  appendEvent(event: Omit<Event, 'sequence'>): number {
    const { lastInsertRowid } = this.#sql('INSERT INTO events (body) VALUES (?)').run(JSON.stringify(event));
    return Number(lastInsertRowid);
  }

  appendChange({ op, kind, id }: Omit<Change, 'revision'>): void {
    this.#sql('INSERT INTO changes (op, kind, id) VALUES (?, ?, ?)').run(op, kind, id);
  }

  events(filter: { appId?: string; containerId?: string }, range: EventRange): Event[] {
    const [condition, values] = conditions(EVENT_FIELDS, filter);
    const order = range.newestFirst ? 'DESC' : 'ASC';
    const rows = this.#sql(
      `SELECT sequence, body FROM events
       WHERE sequence > ? AND sequence < ?${condition} ORDER BY sequence ${order} LIMIT ?`,
    ).all(range.after, range.before, ...values, range.limit) as { sequence: number; body: string }[];
    const events = rows.map(({ sequence, body }) => {
      return { sequence, ...(JSON.parse(body) as Omit<Event, 'sequence'>) };
    });
    return range.newestFirst ? events.reverse() : events;
  }

  /** A page of the changes after a revision, oldest first. */
  changes(since: number): Change[] {
    return this.#sql(
      'SELECT revision, op, kind, id FROM changes WHERE revision > ? ORDER BY revision LIMIT ?',
    ).all(since, CHANGE_PAGE) as Change[];
  }

  newestSequence(): number {
    return this.#number('SELECT max(sequence) AS n FROM events');
  }

  newestRevision(): number {
    return this.#number('SELECT max(revision) AS n FROM changes');
  }

  /** 0 in a new store. */
  oldestRevision(): number {
    return this.#number('SELECT min(revision) AS n FROM changes');
  }

  /** Deletes what is beyond its retention once a batch of it has come together since `before`. */
  trim(before: LogEnds, retention: RetentionOptions): void {
    const now = this.logEnds();
    if (batchesIn(before.revision) !== batchesIn(now.revision)) {
      this.#trimLog('changes', 'revision', now.revision - retention.maxChanges);
    }
    if (batchesIn(before.sequence) !== batchesIn(now.sequence)) {
      this.#trimLog('events', 'sequence', now.sequence - retention.maxEvents);
    }
  }

  logEnds(): LogEnds {
    return { revision: this.newestRevision(), sequence: this.newestSequence() };
  }

  #trimLog(table: string, key: string, floor: number): void {
    const oldest = this.#number(`SELECT min(${key}) AS n FROM ${table}`);
    this.#sql(`DELETE FROM ${table} WHERE ${key} <= ?`).run(Math.min(floor, oldest + TRIM_MAX - 1));
  }

  #number(sql: string): number {
    return (this.#sql(sql).get() as { n: number | null }).n ?? 0;
  }

  #sql(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** The newest numbers of both logs. */
export interface LogEnds {
  readonly revision: number;
  readonly sequence: number;
}

function batchesIn(count: number): number {
  return Math.floor(count / TRIM_BATCH);
}

function parse(row: unknown): RecordBase | undefined {
  return row === undefined ? undefined : (JSON.parse((row as { body: string }).body) as RecordBase);
}

/** The first field is found by its index; a unary plus keeps the others from competing for it. */
function conditions<F extends string>(
  fields: readonly F[],
  where: Partial<Record<F, string>>,
): [sql: string, values: string[]] {
  let sql = '';
  const values: string[] = [];
  for (const field of fields) {
    const value = where[field];
    if (value === undefined) continue;
    sql += values.length === 0 ? ` AND ${field} = ?` : ` AND +${field} = ?`;
    values.push(value);
  }
  return [sql, values];
}
