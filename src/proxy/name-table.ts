/**
 * From names (of hosts, of apps) to small numbers, for a million of them: open addressing over records of 48 bytes in which the name itself
 * lies. A look-up reads one place of memory, where a Map of strings reads its bucket, its entry, the string and the
 * value, each somewhere else; with a million names none of these is in a cache of the processor. And there is nothing in it
 * for the garbage collector to walk through.
 *
 * It is made of 64 shards, so that one that grows stops the process for a few milliseconds (a Map of a million, for 140).
 */
import { key, KEY_WORDS, packKey, unpackKey } from './name-key.ts';

const SHARDS = 64;
const FIRST_SLOTS = 16;
const GROWTH = 1.5;
/** More than 70% full, it grows. */
const MAX_LOAD = 0.7;
/** A name is no further than this from where it should be; should names meet more than that, a Map takes them. */
const MAX_PROBES = 64;

/** A record: the hash, length and value in one word, the name. */
const RECORD = 2 + KEY_WORDS;
const HASH = 0;
const CONTENT = 1;
const NAME = 2;

export const MAX_VALUE = 2 ** 24 - 2;
const VALUE_MASK = 2 ** 24 - 1;
/** Of a record that was deleted; its place is taken by the next new one. One that was never used has all bits 0. */
const DELETED = VALUE_MASK;

class Shard {
  /** Where names are put that have no place here. */
  readonly #others: Map<string, number>;
  #words = new Uint32Array(FIRST_SLOTS * RECORD);
  #slots = FIRST_SLOTS;
  /** Records that are not empty, deleted ones included. */
  #used = 0;

  constructor(others: Map<string, number>) {
    this.#others = others;
  }

  /** Where the record of `key` is; -1 if there is none. */
  find(hash: number, length: number): number {
    const words = this.#words;
    const slots = this.#slots;
    const keyWords = (length + 3) >> 2;
    let slot = slotOf(hash, slots);
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const at = slot * RECORD;
      const content = words[at + CONTENT] as number;
      if (content === 0) return -1;
      if (words[at + HASH] === hash && content >>> 24 === length && (content & VALUE_MASK) !== DELETED) {
        let i = 0;
        while (i < keyWords && words[at + NAME + i] === key[i]) i++;
        if (i === keyWords) return at;
      }
      if (++slot === slots) slot = 0;
    }
    return -1;
  }

  valueAt(at: number): number {
    return (this.#words[at + CONTENT] as number) & VALUE_MASK;
  }

  setValueAt(at: number, value: number): void {
    const content = this.#words[at + CONTENT] as number;
    this.#words[at + CONTENT] = ((content & ~VALUE_MASK) | value) >>> 0;
  }

  /** A record for `key`, which has none. */
  add(name: string, hash: number, value: number): void {
    const { length } = name;
    if (this.#used >= this.#slots * MAX_LOAD) this.#grow();
    const at = this.#free(hash);
    if (at === -1) {
      this.#others.set(name, value);
      return;
    }
    const words = this.#words;
    if (words[at + CONTENT] === 0) this.#used++;
    words[at + HASH] = hash;
    words[at + CONTENT] = ((length << 24) | value) >>> 0;
    const keyWords = (length + 3) >> 2;
    for (let i = 0; i < keyWords; i++) words[at + NAME + i] = key[i] as number;
  }

  /** `visit` may delete what it is told of. */
  forEach(visit: (value: number, at: number) => void): void {
    for (let at = 0; at < this.#words.length; at += RECORD) {
      const content = this.#words[at + CONTENT] as number;
      if (content !== 0 && (content & VALUE_MASK) !== DELETED) visit(content & VALUE_MASK, at);
    }
  }

  deleteAt(at: number): void {
    this.setValueAt(at, DELETED);
  }

  nameAt(at: number): string {
    return unpackKey(this.#words, at + NAME, (this.#words[at + CONTENT] as number) >>> 24);
  }

  #free(hash: number): number {
    let slot = slotOf(hash, this.#slots);
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const at = slot * RECORD;
      const content = this.#words[at + CONTENT] as number;
      if (content === 0 || (content & VALUE_MASK) === DELETED) return at;
      if (++slot === this.#slots) slot = 0;
    }
    return -1;
  }

  /** To where there is room for half as many again; deleted ones stay behind. */
  #grow(): void {
    let live = 0;
    this.forEach(() => live++);
    const before = this.#words;
    this.#slots = Math.max(FIRST_SLOTS, Math.ceil((live / MAX_LOAD) * GROWTH));
    this.#words = new Uint32Array(this.#slots * RECORD);
    this.#used = 0;
    for (let from = 0; from < before.length; from += RECORD) {
      const content = before[from + CONTENT] as number;
      if (content === 0 || (content & VALUE_MASK) === DELETED) continue;
      const to = this.#free(before[from + HASH] as number);
      if (to === -1) this.#others.set(unpackKey(before, from + NAME, content >>> 24), content & VALUE_MASK);
      else {
        this.#words.set(before.subarray(from, from + RECORD), to);
        this.#used++;
      }
    }
  }
}

function slotOf(hash: number, slots: number): number {
  return Math.floor((hash * slots) / 2 ** 32);
}

export class NameTable {
  /** Names that are too long for a record, not ASCII, or crowded out. */
  readonly #others = new Map<string, number>();
  readonly #shards = Array.from({ length: SHARDS }, () => new Shard(this.#others));
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** 0: there is none. `hash`: what `packKey` has just said of the name, for those who look in several tables. */
  get(name: string, hash = packKey(name)): number {
    if (hash !== -1) {
      const shard = this.#shardOf(hash);
      const at = shard.find(hash, name.length);
      if (at !== -1) return shard.valueAt(at);
    }
    return this.#others.size === 0 ? 0 : (this.#others.get(name) ?? 0);
  }

  /** `value`: 1 … `MAX_VALUE`. Returns the one before; 0: there was none. */
  set(name: string, value: number): number {
    const hash = packKey(name);
    if (hash !== -1) {
      const shard = this.#shardOf(hash);
      const at = shard.find(hash, name.length);
      if (at !== -1) {
        const before = shard.valueAt(at);
        shard.setValueAt(at, value);
        return before;
      }
    }
    const before = this.#others.get(name) ?? 0;
    if (before !== 0 || hash === -1) this.#others.set(name, value);
    else this.#shardOf(hash).add(name, hash, value);
    if (before === 0) this.#size++;
    return before;
  }

  /** Returns the value it had; 0: there is none. */
  delete(name: string): number {
    const hash = packKey(name);
    let before = 0;
    if (hash !== -1) {
      const shard = this.#shardOf(hash);
      const at = shard.find(hash, name.length);
      if (at !== -1) {
        before = shard.valueAt(at);
        shard.deleteAt(at);
      }
    }
    if (before === 0) {
      before = this.#others.get(name) ?? 0;
      this.#others.delete(name);
    }
    if (before !== 0) this.#size--;
    return before;
  }

  /** Looks at all of them; `dropped` is told the values of those that match. */
  deleteWhere(matches: (name: string) => boolean, dropped: (value: number) => void): void {
    for (const shard of this.#shards)
      shard.forEach((value, at) => {
        if (!matches(shard.nameAt(at))) return;
        shard.deleteAt(at);
        this.#size--;
        dropped(value);
      });
    for (const [name, value] of this.#others) {
      if (!matches(name)) continue;
      this.#others.delete(name);
      this.#size--;
      dropped(value);
    }
  }

  forEachValue(visit: (value: number) => void): void {
    for (const shard of this.#shards) shard.forEach(visit);
    for (const value of this.#others.values()) visit(value);
  }

  #shardOf(hash: number): Shard {
    return this.#shards[hash & (SHARDS - 1)] as Shard;
  }
}
