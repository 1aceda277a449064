/**
 * Hosts remembered up to a bound, in two generations. New ones go to the young one; when that is full it becomes the old one,
 * and what was left in the old one is forgotten. Whoever is asked for in the old one is young again. So what is in use stays,
 * what is asked for once goes, and a hit is a look-up that writes nothing.
 */
import { NameTable } from './name-table.ts';
import type { PackedName } from './packed-name.ts';

export class HostCache {
  /** Of one generation. */
  readonly #maxYoung: number;
  readonly #dropped: (value: number) => void;
  #young = new NameTable();
  #old = new NameTable();

  /**
   * `maxSize`: 2 or more, in both generations together. Half as many are remembered whatever else is asked for between.
   * `dropped` is told each value that is no longer remembered for a host.
   */
  constructor(maxSize: number, dropped: (value: number) => void) {
    this.#maxYoung = Math.max(1, Math.floor(maxSize / 2));
    this.#dropped = dropped;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** 0: it is not remembered. */
  get(host: PackedName): number {
    const value = this.#young.get(host);
    if (value !== 0 || this.#old.size === 0) return value;
    const before = this.#old.delete(host);
    if (before !== 0) this.add(host, before);
    return before;
  }

  /** A host that is not remembered; `value`: 1 or more. */
  add(host: PackedName, value: number): void {
    if (this.#young.size >= this.#maxYoung) {
      this.#old.forEachValue(this.#dropped);
      this.#old = this.#young;
      this.#young = new NameTable();
    }
    this.#young.set(host, value);
  }

  delete(host: PackedName): void {
    const value = this.#young.delete(host) || this.#old.delete(host);
    if (value !== 0) this.#dropped(value);
  }

  /** Looks at all of them. */
  deleteWhere(matches: (host: string, value: number) => boolean): void {
    this.#young.deleteWhere(matches, this.#dropped);
    this.#old.deleteWhere(matches, this.#dropped);
  }
}
