/**
 * How long requests take, as counts in buckets that grow with what they measure (log-linear: 32 to a power of two), so that
 * every quantile is known to about 3%. Recording is a few arithmetic operations on a typed array.
 */

/** Sub-buckets of each power of two, as a power of two. */
const SUB_BITS = 5;
const SUB_BUCKETS = 1 << SUB_BITS;
/** Up to 2^31 µs, about 36 minutes; what takes longer counts as that. */
const MAX_US = 2 ** 31 - 1;
const BUCKETS = (31 - SUB_BITS + 1) * SUB_BUCKETS;

/** Plain JSON; histograms of several processes add up. */
export interface HistogramSnapshot {
  readonly count: number;
  readonly sumMs: number;
  /** The buckets that are not empty, smallest first: upper bound in milliseconds, and how many are in it. */
  readonly buckets: readonly (readonly [upToMs: number, count: number])[];
}

export class LatencyHistogram {
  /** Requests recorded. */
  count = 0;
  /** All of them together, in milliseconds. */
  sumMs = 0;
  readonly #buckets = new Float64Array(BUCKETS);

  record(ms: number): void {
    this.count++;
    this.sumMs += ms;
    const us = ms * 1_000;
    const index = bucketOf(us < MAX_US ? us | 0 : MAX_US);
    this.#buckets[index] = (this.#buckets[index] as number) + 1;
  }

  /** The latency that a share `q` (0 … 1) of all requests did not exceed, in milliseconds; 0 when there were none. */
  quantileMs(q: number): number {
    let left = Math.max(1, Math.ceil(q * this.count));
    for (let index = 0; index < BUCKETS; index++) {
      left -= this.#buckets[index] as number;
      if (left <= 0) return upperBoundUs(index) / 1_000;
    }
    return 0;
  }

  /** Calls `visit` with every bucket that is not empty: its upper bound in milliseconds, and how many are in it. */
  forEach(visit: (upToMs: number, count: number) => void): void {
    for (let index = 0; index < BUCKETS; index++) {
      const count = this.#buckets[index] as number;
      if (count > 0) visit(upperBoundUs(index) / 1_000, count);
    }
  }

  snapshot(): HistogramSnapshot {
    const buckets: [number, number][] = [];
    this.forEach((upToMs, count) => buckets.push([upToMs, count]));
    return { count: this.count, sumMs: this.sumMs, buckets };
  }
}

/** Below 2^SUB_BITS a bucket is one microsecond wide, then twice as wide with every power of two. */
function bucketOf(us: number): number {
  const shift = 31 - SUB_BITS - Math.clz32(us | SUB_BUCKETS);
  return (shift << SUB_BITS) + (us >>> shift);
}

/** The first value that does not belong to the bucket any more. */
function upperBoundUs(index: number): number {
  if (index < 2 * SUB_BUCKETS) return index + 1;
  const shift = (index >> SUB_BITS) - 1;
  return (index - (shift << SUB_BITS) + 1) * 2 ** shift;
}
