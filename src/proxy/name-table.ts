/**
 * From names (of hosts, of apps) to small numbers, for a million of them: open addressing over records of 48 bytes in which the name itself
 * lies. A look-up reads one place of memory, where a Map of strings reads its bucket, its entry, the string and the
 * value, each somewhere else; with a million names none of these is in a cache of the processor. And there is nothing in it
 * for the garbage collector to walk through.
 *
 * All records are in the order of their hashes (ordered hash tables: Amble and Knuth, 1974), so that a name that is not there is known to be
 * missing as soon as one that is there would have been found: a host is looked for by its own name before it is looked for below a wildcard.
 *
 * It is made of 64 shards, so that one that grows stops the process for a few milliseconds (a Map of a million, for 140).
 */
import { NAME_WORDS, NOT_PACKED, unpack } from './packed-name.ts';
import type { PackedName } from './packed-name.ts';

const SHARDS = 64;
const FIRST_SLOTS = 16;
const GROWTH = 1.5;
/** More than 70% full, it grows. */
const MAX_LOAD = 0.7;
/** A name is no further than this from where it should be. In a table that is rather full that may happen: it grows a little earlier. */
const MAX_PROBES = 128;
/** Where names meet in one that is less than a quarter full, they are made to meet, and more room would not help: a Map takes them. */
const MIN_LOAD = 0.25;

/** A record: the hash, length and value in one word, the name. */
const RECORD = 2 + NAME_WORDS;
const HASH = 0;
const CONTENT = 1;
const NAME = 2;
/** Instead of a hash, in a record without a name: behind all names. */
const EMPTY = 2 ** 31 - 1;

export const MAX_VALUE = 2 ** 24 - 1;

class Shard {
  /** Where names are put that have no place here. */
  readonly #others: Map<string, number>;
  #slots = FIRST_SLOTS;
  #records = emptyRecords(FIRST_SLOTS);
  #used = 0;

  constructor(others: Map<string, number>) {
    this.#others = others;
  }

  /** Where the record of `name` is; -1 if there is none. */
  find({ hash, length, words }: PackedName): number {
    const records = this.#records;
    const nameWords = (length + 3) >> 2;
    // The last record is always empty.
    for (let at = slotOf(hash, this.#slots) * RECORD; ; at += RECORD) {
      const there = records[at + HASH] as number;
      if (there < hash) continue;
      if (there > hash) return -1;
      if ((records[at + CONTENT] as number) >> 24 !== length) continue;
      let i = 0;
      while (i < nameWords && records[at + NAME + i] === words[i]) i++;
      if (i === nameWords) return at;
    }
  }

  valueAt(at: number): number {
    return (this.#records[at + CONTENT] as number) & MAX_VALUE;
  }

  setValueAt(at: number, value: number): void {
    this.#records[at + CONTENT] = ((this.#records[at + CONTENT] as number) & ~MAX_VALUE) | value;
  }

  /** A record for a name that has none. */
  add(name: PackedName, value: number): void {
    if (this.#used >= this.#slots * MAX_LOAD) this.#grow();
    while (!this.#insert(name, value)) {
      if (this.#used < this.#slots * MIN_LOAD) {
        this.#others.set(name.text, value);
        return;
      }
      this.#grow();
    }
  }

  /** False: there is no room near where it should be. */
  #insert({ hash, length, words }: PackedName, value: number): boolean {
    const records = this.#records;
    const home = slotOf(hash, this.#slots) * RECORD;
    let at = home;
    while ((records[at + HASH] as number) <= hash) at += RECORD;
    let end = at;
    while (records[end + HASH] !== EMPTY) end += RECORD;
    if (end - home > roomBehind(this.#slots) * RECORD) return false;
    records.copyWithin(at + RECORD, at, end);
    records[at + HASH] = hash;
    records[at + CONTENT] = (length << 24) | value;
    const nameWords = (length + 3) >> 2;
    for (let i = 0; i < nameWords; i++) records[at + NAME + i] = words[i] as number;
    this.#used++;
    return true;
  }

  /** Those behind it that are not where they should be move up. */
  deleteAt(at: number): void {
    const records = this.#records;
    let end = at + RECORD;
    while (records[end + HASH] !== EMPTY && slotOf(records[end + HASH] as number, this.#slots) * RECORD < end)
      end += RECORD;
    records.copyWithin(at, at + RECORD, end);
    records[end - RECORD + HASH] = EMPTY;
    this.#used--;
  }

  forEachValue(visit: (value: number) => void): void {
    for (let at = 0; at < this.#records.length; at += RECORD)
      if (this.#records[at + HASH] !== EMPTY) visit(this.valueAt(at));
  }

  deleteWhere(matches: (name: string, value: number) => boolean, deleted: (value: number) => void): void {
    for (let at = 0; at < this.#records.length;) {
      const value = this.valueAt(at);
      if (this.#records[at + HASH] === EMPTY || !matches(this.#nameAt(at), value)) {
        at += RECORD;
        continue;
      }
      this.deleteAt(at);
      deleted(value);
    }
  }

  #nameAt(at: number): string {
    return unpack(this.#records, at + NAME, (this.#records[at + CONTENT] as number) >> 24);
  }

  /** To where there is room for half as many again. */
  #grow(): void {
    const before = this.#records;
    this.#slots = Math.ceil(this.#slots * GROWTH);
    this.#records = emptyRecords(this.#slots);
    this.#used = 0;
    let free = 0;
    for (let from = 0; from < before.length; from += RECORD) {
      const hash = before[from + HASH] as number;
      if (hash === EMPTY) continue;
      const home = slotOf(hash, this.#slots) * RECORD;
      const to = home > free ? home : free;
      this.#records.set(before.subarray(from, from + RECORD), to);
      free = to + RECORD;
      this.#used++;
    }
  }
}

function slotOf(hash: number, slots: number): number {
  return Math.floor((hash * slots) / 2 ** 31);
}

/** Records behind the last slot, for names that should be there and are not. */
function roomBehind(slots: number): number {
  return slots < MAX_PROBES ? slots : MAX_PROBES;
}

/** The last one stays empty. */
function emptyRecords(slots: number): Int32Array {
  const records = new Int32Array((slots + roomBehind(slots) + 1) * RECORD);
  for (let at = 0; at < records.length; at += RECORD) records[at + HASH] = EMPTY;
  return records;
}

export class NameTable {
  /** Names that are too long for a record, not ASCII, or crowded out. */
  readonly #others = new Map<string, number>();
  readonly #shards = Array.from({ length: SHARDS }, () => new Shard(this.#others));
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** 0: there is none. */
  get(name: PackedName): number {
    if (name.hash !== NOT_PACKED) {
      const shard = this.#shardOf(name);
      const at = shard.find(name);
      if (at !== -1) return shard.valueAt(at);
    }
    return this.#others.size === 0 ? 0 : (this.#others.get(name.text) ?? 0);
  }

  /** `value`: 1 … `MAX_VALUE`. Returns the one before; 0: there was none. */
  set(name: PackedName, value: number): number {
    if (name.hash !== NOT_PACKED) {
      const shard = this.#shardOf(name);
      const at = shard.find(name);
      if (at !== -1) {
        const before = shard.valueAt(at);
        shard.setValueAt(at, value);
        return before;
      }
    }
    const before = this.#others.get(name.text) ?? 0;
    if (before !== 0 || name.hash === NOT_PACKED) this.#others.set(name.text, value);
    else this.#shardOf(name).add(name, value);
    if (before === 0) this.#size++;
    return before;
  }

  /** Returns the value it had; 0: there is none. */
  delete(name: PackedName): number {
    let before = 0;
    if (name.hash !== NOT_PACKED) {
      const shard = this.#shardOf(name);
      const at = shard.find(name);
      if (at !== -1) {
        before = shard.valueAt(at);
        shard.deleteAt(at);
      }
    }
    if (before === 0 && this.#others.size > 0) {
      before = this.#others.get(name.text) ?? 0;
      this.#others.delete(name.text);
    }
    if (before !== 0) this.#size--;
    return before;
  }

  /** Looks at all of them; `deleted` is told the values of those that match. */
  deleteWhere(matches: (name: string, value: number) => boolean, deleted: (value: number) => void): void {
    const tell = (value: number) => {
      this.#size--;
      deleted(value);
    };
    for (const shard of this.#shards) shard.deleteWhere(matches, tell);
    for (const [name, value] of this.#others) {
      if (!matches(name, value)) continue;
      this.#others.delete(name);
      tell(value);
    }
  }

  forEachValue(visit: (value: number) => void): void {
    for (const shard of this.#shards) shard.forEachValue(visit);
    for (const value of this.#others.values()) visit(value);
  }

  #shardOf({ hash }: PackedName): Shard {
    return this.#shards[hash & (SHARDS - 1)] as Shard;
  }
}
