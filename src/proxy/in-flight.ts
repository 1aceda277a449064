/**
 * What is in flight on a container. Each request is in it once and knows its place, so coming and going is an array's
 * push and pop; a Set hashes objects that live for a millisecond.
 */

/** Its owner breaks it off when told. */
export interface Work {
  onAbort: (() => void) | undefined;
  /** Where it is among what is in flight; nobody else's to write. */
  place: number;
}

export class InFlight {
  readonly #work: Work[] = [];

  get size(): number {
    return this.#work.length;
  }

  add(work: Work): void {
    work.place = this.#work.length;
    this.#work.push(work);
  }

  /** What was added, once. */
  delete(work: Work): void {
    const last = this.#work.pop();
    if (last === undefined || last === work) return;
    this.#work[work.place] = last;
    last.place = work.place;
  }

  /** Breaks all of it off. */
  abort(): void {
    for (const work of [...this.#work]) work.onAbort?.();
  }
}
