/** Chance from a seed: the same seed, the same traffic, whatever policy serves it. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in (0, 1). Mulberry32: small, and even enough for this. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  }

  exponential(mean: number): number {
    return -mean * Math.log(this.next());
  }

  /** Pareto with shape 2.2, cut off at 100 means: a few requests are most of the work. */
  heavyTailed(mean: number): number {
    const shape = 2.2;
    return Math.min(100 * mean, (mean * (shape - 1)) / shape / this.next() ** (1 / shape));
  }
}
