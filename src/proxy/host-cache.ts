/**
 * Hosts remembered up to a bound, in two generations. New ones go to the young one; when that is full it becomes the old one,
 * and what was left in the old one is forgotten. Whoever is asked for in the old one is young again. So what is in use stays,
 * what is asked for once goes, and a hit costs a look-up and writes nothing: a list in order of use costs three times that
 * when a million hosts are asked for in turn, because each hit touches four of its neighbours.
 */
import { ShardedMap } from './sharded-map.ts';

export class HostCache<V> {
  /** Of one generation. */
  readonly #maxYoung: number;
  #young = new ShardedMap<V>();
  #old = new ShardedMap<V>();

  /** `maxSize`: 2 or more, in both generations together. Half as many are remembered whatever else is asked for between. */
  constructor(maxSize: number) {
    this.#maxYoung = Math.max(1, Math.floor(maxSize / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(host: string): V | undefined {
    const value = this.#young.get(host);
    if (value !== undefined || this.#old.size === 0) return value;
    const before = this.#old.get(host);
    if (before !== undefined) this.set(host, before);
    return before;
  }

  set(host: string, value: V): void {
    this.#old.delete(host);
    this.#young.set(host, value);
    if (this.#young.size < this.#maxYoung) return;
    this.#old = this.#young;
    this.#young = new ShardedMap();
  }

  delete(host: string): void {
    if (!this.#young.delete(host)) this.#old.delete(host);
  }

  /** Looks at all of them. */
  deleteWhere(matches: (host: string) => boolean): void {
    for (const generation of [this.#young, this.#old])
      for (const [host] of generation.entries()) if (matches(host)) generation.delete(host);
  }

  *values(): Generator<V> {
    for (const generation of [this.#young, this.#old])
      for (const [, value] of generation.entries()) yield value;
  }
}
