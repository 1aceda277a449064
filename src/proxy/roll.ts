/**
 * What is there at the moment, where much comes and goes: requests in flight, connections. Each is in it once and knows its
 * place, so coming and going is an array's push and pop.
 *
 * A Set would hash what lives for a millisecond. And whenever it has to make room it leaves its old table behind, which names all that
 * was there and points to the next table: once one of them has reached V8's old generation, all that follow it survive
 * too, with everything they name, until that generation is collected as well.
 */

export interface Placed {
  /** Where it is on the roll; nobody else's to write. */
  place: number;
}

export class Roll<T extends Placed> {
  readonly #there: T[] = [];

  get size(): number {
    return this.#there.length;
  }

  add(one: T): void {
    one.place = this.#there.length;
    this.#there.push(one);
  }

  /** Nothing happens where it is not there. */
  delete(one: T): void {
    if (this.#there[one.place] !== one) return;
    const last = this.#there.pop();
    if (last === undefined || last === one) return;
    this.#there[one.place] = last;
    last.place = one.place;
  }

  /** All that are there now, in no order; they may be deleted meanwhile. */
  all(): T[] {
    return [...this.#there];
  }
}
