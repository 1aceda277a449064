/**
 * One timer for a whole node. Running containers, and nothing else, have a deadline here; the earliest one is armed.
 * An idle app has no container, so it has no entry: 100,000 of them cost nothing.
 */
import type { Clock } from '../clock.ts';

interface Entry {
  readonly key: string;
  readonly atMs: number;
  readonly due: () => void;
}

export class Deadlines {
  readonly #clock: Clock;
  /** A binary heap by `atMs`. Entries that were replaced stay in it until they surface; `#current` tells them apart. */
  readonly #heap: Entry[] = [];
  readonly #current = new Map<string, Entry>();
  #disarm: (() => void) | undefined;
  #armedForMs = Infinity;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#current.size;
  }

  /** Calls `due` at `atMs` (epoch), in place of what was set for the key before. Infinity: never. */
  set(key: string, atMs: number, due: () => void): void {
    this.#current.delete(key);
    if (this.#closed || atMs === Infinity) {
      this.#sweep();
      return;
    }
    const entry = { key, atMs, due };
    this.#current.set(key, entry);
    this.#push(entry);
    this.#sweep();
    this.#arm();
  }

  cancel(key: string): void {
    if (this.#current.delete(key)) this.#sweep();
  }

  /** Forgets all; what is set from here on never comes due. */
  close(): void {
    this.#closed = true;
    this.#current.clear();
    this.#sweep();
  }

  /** Replaced and cancelled entries are the heap's garbage: it is cleared when it is most of it, or all. */
  #sweep(): void {
    if (this.#current.size > 0) {
      if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) this.#rebuild();
      return;
    }
    this.#heap.length = 0;
    this.#disarm?.();
    this.#disarm = undefined;
  }

  #arm(): void {
    const nextMs = this.#heap[0]?.atMs ?? Infinity;
    if (this.#disarm && this.#armedForMs <= nextMs) return;
    this.#disarm?.();
    this.#armedForMs = nextMs;
    this.#disarm = this.#clock.after(nextMs - this.#clock.nowMs(), () => this.#fire());
  }

  #fire(): void {
    this.#disarm = undefined;
    const nowMs = this.#clock.nowMs();
    for (let entry = this.#heap[0]; entry && entry.atMs <= nowMs; entry = this.#heap[0]) {
      this.#pop();
      if (this.#current.get(entry.key) !== entry) continue;
      this.#current.delete(entry.key);
      entry.due();
    }
    this.#sweep();
    if (this.#heap.length > 0) this.#arm();
  }

  #rebuild(): void {
    this.#heap.length = 0;
    for (const entry of this.#current.values()) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || above.atMs <= entry.atMs) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const left = heap[child];
      const right = heap[child + 1];
      if (left && right && right.atMs < left.atMs) child++;
      const smaller = heap[child];
      if (!smaller || smaller.atMs >= last.atMs) break;
      heap[index] = smaller;
      index = child;
    }
    heap[index] = last;
  }
}
