/** A log in memory: entries numbered from 1 without gaps, the oldest of them forgotten in batches. */
import { TRIM_BATCH } from './bounds.ts';

export class MemoryLog<T> {
  readonly #entries: T[] = [];
  /** How many have been forgotten. */
  #forgotten = 0;

  /** The newest entry's number; 0 in an empty log. */
  get newest(): number {
    return this.#forgotten + this.#entries.length;
  }

  append(entry: T): void {
    this.#entries.push(entry);
  }

  dropNewest(): void {
    this.#entries.pop();
  }

  /** The entry of that number, which must not have been forgotten. */
  at(number: number): T {
    const entry = this.#entries[number - this.#forgotten - 1];
    if (entry === undefined) throw new RangeError(`The log has no entry ${number}`);
    return entry;
  }

  trim(maxEntries: number): void {
    const surplus = this.#entries.length - maxEntries;
    if (surplus < TRIM_BATCH) return;
    this.#entries.splice(0, surplus);
    this.#forgotten += surplus;
  }
}
