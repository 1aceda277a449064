/**
 * What a commit means, whichever driver keeps the tables. The driver brings reading, writing and a way to undo it all;
 * preconditions, generations and claims are decided here and nowhere else.
 *
 * Claims are taken after every operation has let go of its own: within one commit a name moves from one record to
 * another in whatever order the operations stand.
 */
import { overlapping } from './host-overlap.ts';
import type { Event, Kind, RecordBase } from './records.ts';
import { claimTaken, generationDiffers, idExists, recordMissing } from './store-errors.ts';
import type { Change, Operation } from './store.ts';

export interface Holder {
  readonly kind: Kind;
  readonly id: string;
}

/** The tables of one store, seen from inside a transaction. */
export interface Tables {
  get(kind: Kind, id: string): RecordBase | undefined;
  insert(kind: Kind, record: RecordBase): void;
  replace(kind: Kind, record: RecordBase): void;
  remove(kind: Kind, id: string): void;

  holderOf(claim: string): Holder | undefined;
  take(claim: string, holder: Holder): void;
  /** Lets go of every claim of the record, and returns them. */
  release(holder: Holder): readonly string[];
  /** The first claim that begins so and is not held by a record of that tenant. */
  heldByOthers(beginning: string, tenantId: string): string | undefined;

  /** Returns the event's sequence. */
  appendEvent(event: Omit<Event, 'sequence'>): number;
  appendChange(change: Omit<Change, 'revision'>): void;
}

/**
 * Applies the operations in order. Throws the errors of `Store.commit`; the caller then undoes what was written.
 */
export function applyOperations(tables: Tables, operations: readonly Operation[]): void {
  /** The last word on the claims of each record that was given any, by record, and those it had before. */
  const wanted = new Map<string, { holder: Holder; claims: readonly string[]; before: readonly string[] }>();

  function replaceClaims(holder: Holder, claims: readonly string[]): void {
    const key = `${holder.kind}/${holder.id}`;
    const released = tables.release(holder);
    wanted.set(key, { holder, claims, before: wanted.get(key)?.before ?? released });
  }

  for (const operation of operations) {
    switch (operation.op) {
      case 'create': {
        const { kind, record } = operation;
        if (tables.get(kind, record.id)) throw idExists(kind, record.id);
        tables.insert(kind, { ...record, generation: 1 });
        if (operation.claims) replaceClaims({ kind, id: record.id }, operation.claims);
        tables.appendChange({ op: 'create', kind, id: record.id });
        break;
      }
      case 'update': {
        const { kind, id } = operation;
        const current = expectRecord(tables, kind, id, operation.ifGeneration);
        const { generation, createdAtMs } = current;
        tables.replace(kind, { ...current, ...operation.set, id, generation: generation + 1, createdAtMs });
        if (operation.claims) replaceClaims({ kind, id }, operation.claims);
        tables.appendChange({ op: 'update', kind, id });
        break;
      }
      case 'delete': {
        const { kind, id } = operation;
        expectRecord(tables, kind, id, operation.ifGeneration);
        tables.remove(kind, id);
        replaceClaims({ kind, id }, []);
        tables.appendChange({ op: 'delete', kind, id });
        break;
      }
      case 'expect': {
        const { kind, id, ifGeneration } = operation;
        if (ifGeneration > 0) expectRecord(tables, kind, id, ifGeneration);
        else if (tables.get(kind, id)) throw idExists(kind, id);
        break;
      }
      case 'event': {
        const sequence = tables.appendEvent(operation.event);
        tables.appendChange({ op: 'event', kind: 'event', id: String(sequence) });
        break;
      }
    }
  }

  for (const { holder, claims, before } of wanted.values()) {
    for (const claim of new Set(claims)) {
      if (tables.holderOf(claim)) throw claimTaken(claim);
      const other = before.includes(claim) ? undefined : overlapping(tables, claim, holder);
      if (other !== undefined) throw claimTaken(other);
      tables.take(claim, holder);
    }
  }
}

function expectRecord(tables: Tables, kind: Kind, id: string, ifGeneration: number | undefined): RecordBase {
  const record = tables.get(kind, id);
  if (!record) throw recordMissing(kind, id);
  if (ifGeneration !== undefined && record.generation !== ifGeneration) {
    throw generationDiffers(kind, record, ifGeneration);
  }
  return record;
}
