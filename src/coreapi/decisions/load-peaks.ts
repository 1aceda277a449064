/**
 * The highest of what was noted in the last minute, at a fixed cost: one number for every five seconds. Whether less would do is
 * asked of the peak, not of the mean: so a load that comes and goes within the minute keeps what it needs when it comes.
 */

const EVERY_MS = 5_000;
/** How far back it remembers; to this is added what has passed of the newest five seconds. */
export const STABLE_MS = 60_000;
const SLOTS = STABLE_MS / EVERY_MS + 1;
/** Observations come with requests, so a minute may hold one alone. As many count, however old they are. */
const AT_LEAST = 3;

export class Peaks {
  readonly #slots = new Float64Array(SLOTS);
  readonly #latest = new Float64Array(AT_LEAST).fill(Infinity);
  #slot = -Infinity;
  #count = 0;

  note(atMs: number, value: number): void {
    const slot = Math.floor(atMs / EVERY_MS);
    const passed = Math.min(SLOTS, slot - this.#slot);
    for (let one = 0; one < passed; one++) this.#slots[(slot - one) % SLOTS] = 0;
    this.#slot = slot;
    this.#slots[slot % SLOTS] = Math.max(this.#slots[slot % SLOTS] ?? 0, value);
    this.#latest[this.#count++ % AT_LEAST] = value;
  }

  /** Of so long, at most a minute; Infinity before there is enough to tell. */
  highest(overMs: number): number {
    let highest = Math.max(...this.#latest);
    for (let back = 0; back <= overMs / EVERY_MS; back++)
      highest = Math.max(highest, this.#slots[(this.#slot - back) % SLOTS] ?? 0);
    return highest;
  }
}
