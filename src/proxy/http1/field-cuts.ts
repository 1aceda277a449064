/**
 * Which field lines of a head are not passed on, as ranges of bytes. What lies between them is copied in one go each: a
 * head of which one line goes is two copies, however many lines it has.
 */
import { copyBytes } from './ascii.ts';

const FIRST_CAPACITY = 16;

export class FieldCuts {
  /** Starts and ends in turn, ascending, apart from each other; relative to the start of the head. */
  #ranges = new Int32Array(FIRST_CAPACITY);
  #length = 0;

  clear(): void {
    this.#length = 0;
  }

  /** How many ranges there are. */
  get count(): number {
    return this.#length >> 1;
  }

  from(index: number): number {
    return this.#ranges[2 * index] as number;
  }

  to(index: number): number {
    return this.#ranges[2 * index + 1] as number;
  }

  /** Cuts a line that lies behind all that were cut before. */
  add(from: number, to: number): void {
    if (this.#length > 0 && this.#ranges[this.#length - 1] === from) {
      this.#ranges[this.#length - 1] = to;
      return;
    }
    if (this.#length === this.#ranges.length) this.#grow();
    this.#ranges[this.#length++] = from;
    this.#ranges[this.#length++] = to;
  }

  /** Cuts a line anywhere; one that is cut already may be given. */
  insert(from: number, to: number): void {
    let at = this.#length;
    while (at > 0 && (this.#ranges[at - 2] as number) > from) at -= 2;
    if (at > 0 && (this.#ranges[at - 1] as number) >= to) return;
    if (this.#length === this.#ranges.length) this.#grow();
    this.#ranges.copyWithin(at + 2, at, this.#length);
    this.#ranges[at] = from;
    this.#ranges[at + 1] = to;
    this.#length += 2;
  }

  /** The same lines stand elsewhere in their head. */
  moveBy(bytes: number): void {
    for (let i = 0; i < this.#length; i++) this.#ranges[i] = (this.#ranges[i] as number) + bytes;
  }

  /** Copies what is left of [from, to) (relative to `base`) to `out` at `at`; returns where it ends. */
  copyKept(source: Buffer, base: number, from: number, to: number, out: Buffer, at: number): number {
    let start = from;
    let end = at;
    for (let i = 0; i < this.#length; i += 2) {
      const cut = this.#ranges[i] as number;
      if (cut > start) end = copyBytes(source, base + start, base + cut, out, end);
      start = this.#ranges[i + 1] as number;
    }
    return start < to ? copyBytes(source, base + start, base + to, out, end) : end;
  }

  #grow(): void {
    const ranges = new Int32Array(2 * this.#ranges.length);
    ranges.set(this.#ranges);
    this.#ranges = ranges;
  }
}
