/** Keys remembered; of more than that, those heard of longest ago are forgotten. */
const MAX_KEYS = 1_000;

/** What may be said at most once in a while for each key, in memory and bounded. */
export class Seldom {
  readonly #everyMs: number;
  readonly #saidAtMs = new Map<string, number>();

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Whether it may be said now; if so, it counts as said. */
  isDue(key: string, nowMs: number): boolean {
    const saidAtMs = this.#saidAtMs.get(key);
    if (saidAtMs !== undefined && nowMs - saidAtMs < this.#everyMs) return false;
    this.#saidAtMs.delete(key); // to the end of the order
    this.#saidAtMs.set(key, nowMs);
    for (const [oldest] of this.#saidAtMs) {
      if (this.#saidAtMs.size <= MAX_KEYS) break;
      this.#saidAtMs.delete(oldest);
    }
    return true;
  }
}
