/**
 * What has been seen of an app's load, and no more of it than decisions need. An observation comes with a request, never from a
 * timer, so all of it is kept as running totals: between any two moments the difference is exact, however far apart they are.
 * A long interval without an observation is one in which no request came or went.
 *
 * An observation costs the same whatever was before, and a window has a fixed size: 28 totals at most, a few KiB. There is one
 * for each app that is awake; an app that sleeps has none.
 */

/** One container that serves, since it was last looked at. */
export interface ContainerUse {
  readonly containerId: string;
  /** How long ago it was last looked at, or became ready. Milliseconds. */
  readonly overMs: number;
  /** CPU time it has used since. Milliseconds of one core. */
  readonly cpuMs: number;
  /** What it may use, in cores. */
  readonly cpu: number;
  /** Share of its scheduling periods in which it was held back, 0 … 1. */
  readonly throttledShare: number;
  /** What cannot be reclaimed: without the page cache. */
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  /** Processes killed for want of memory since it was last looked at. */
  readonly oomKills: number;
  readonly pids: number;
}

/** What the proxies have counted of an app since the observation before. Milliseconds; all requests together. */
export interface Traffic {
  readonly arrivals: number;
  /** Requests that are over, however they ended. */
  readonly completed: number;
  /**
   * Time that requests spent in containers, those that are still there included. A proxy has it without a list: the sum of the
   * ends, less the sum of the beginnings, plus now for each that is there. Mean concurrency is this over the interval.
   */
  readonly servedMs: number;
  /** The same for requests that waited for a container. */
  readonly heldMs: number;
}

/** An app at one moment, and what has happened since the observation before. */
export interface Observation {
  /** Epoch ms; every observation of an app is later than the one before. */
  readonly atMs: number;
  /** All that serve; none while the first one starts. */
  readonly containers: readonly ContainerUse[];
  readonly traffic: Traffic;
  /** Requests in containers now, and waiting for one. */
  readonly inFlight: number;
  readonly held: number;
}

/** Sums since the window began. CPU in milliseconds of one core. */
interface Totals extends Traffic {
  readonly atMs: number;
  readonly cpuMs: number;
  /** What the containers could have used. */
  readonly grantedMs: number;
  /** The part of that in which they were held back. */
  readonly throttledMs: number;
}

/** What there was between two moments: counts, and means over the time. */
export interface Span {
  readonly ms: number;
  readonly arrivals: number;
  readonly inFlight: number;
  readonly held: number;
  /** Cores used, and granted. */
  readonly cpu: number;
  readonly granted: number;
  readonly throttledShare: number;
}

/** Two intervals in a row. What is seen in both has lasted; what is seen in one may be chance. */
export interface Stretch {
  readonly older: Span;
  readonly newer: Span;
}

/** What one request takes. Milliseconds; undefined as long as too few are over to tell. */
export interface RequestCost {
  readonly cpuMs: number | undefined;
  /** Time in a container whose CPU is not the bottleneck. */
  readonly servedMs: number | undefined;
}

/** As many requests have to be over before it is believed what one takes. */
const ENOUGH_REQUESTS = 8;
/** What a request takes is learnt from so many at least, and from those of this long where there are more. */
const MEMORY_REQUESTS = 50;
const MEMORY_MS = 20_000;

const NOTHING: Totals = {
  atMs: 0,
  arrivals: 0,
  completed: 0,
  servedMs: 0,
  heldMs: 0,
  cpuMs: 0,
  grantedMs: 0,
  throttledMs: 0,
};

export class LoadWindow {
  /** Every observation of the last second or so, and one a second before that. */
  readonly #fine = new History(14, 0);
  readonly #coarse = new History(14, 1_000);
  readonly #cpu = new Learnt();
  readonly #served = new Learnt();
  #now = NOTHING;
  #sinceMs = Infinity;
  #inFlight = 0;

  /** When it began; Infinity: it has not. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** There was nothing before: what the first observation tells of has come since then. Epoch ms. */
  begin(atMs: number): void {
    this.#sinceMs = atMs;
    this.#now = { ...NOTHING, atMs };
    this.#fine.add(this.#now);
    this.#coarse.add(this.#now);
  }

  /** Takes in an observation; false for one that is not later than the one before. `cpuFull`: share from which CPU is scarce. */
  add({ atMs, containers, traffic, inFlight }: Observation, cpuFull: number): boolean {
    const before = this.#now;
    if (this.#sinceMs !== Infinity && atMs <= before.atMs) return false;
    let { cpuMs, grantedMs, throttledMs } = before;
    for (const { cpuMs: used, cpu, overMs, throttledShare } of containers) {
      cpuMs += used;
      grantedMs += cpu * overMs;
      throttledMs += cpu * overMs * throttledShare;
    }
    const now: Totals = {
      atMs,
      arrivals: before.arrivals + traffic.arrivals,
      completed: before.completed + traffic.completed,
      servedMs: before.servedMs + traffic.servedMs,
      heldMs: before.heldMs + traffic.heldMs,
      cpuMs,
      grantedMs,
      throttledMs,
    };
    if (this.#sinceMs === Infinity) this.#sinceMs = atMs;
    this.#learn(before, now, cpuFull);
    this.#now = now;
    this.#inFlight = inFlight;
    this.#fine.add(now);
    this.#coarse.add(now);
    return true;
  }

  cost(): RequestCost {
    return { cpuMs: this.#cpu.each(this.#inFlight), servedMs: this.#served.each(0) };
  }

  /** The last two intervals, whatever their length. */
  newest(): Stretch | undefined {
    return stretch(this.#fine.back(2), this.#fine.back(1), this.#now);
  }

  /** The last two intervals of `halfMs` each, or a little more. */
  last(halfMs: number): Stretch | undefined {
    const middle = this.#until(this.#now.atMs - halfMs);
    return middle && stretch(this.#until(middle.atMs - halfMs), middle, this.#now);
  }

  #until(atMs: number): Totals | undefined {
    return this.#fine.until(atMs) ?? this.#coarse.until(atMs);
  }

  #learn(before: Totals, now: Totals, cpuFull: number): void {
    if (before === NOTHING) return;
    const ms = now.atMs - before.atMs;
    const requests = now.completed - before.completed;
    this.#cpu.add(now.cpuMs - before.cpuMs, requests, ms);
    // Where requests wait for CPU inside a container, the time they take is that of the crowd, not theirs.
    const { cpu, granted } = between(before, now);
    if (cpu < cpuFull * granted) this.#served.add(now.servedMs - before.servedMs, requests, ms);
  }
}

/** A mean per request over the last while: a sum and a count that fade together. */
class Learnt {
  #sum = 0;
  #requests = 0;

  add(amount: number, requests: number, ms: number): void {
    const fade = Math.max(2 ** (-ms / MEMORY_MS), Math.min(1, MEMORY_REQUESTS / this.#requests));
    this.#sum = this.#sum * fade + amount;
    this.#requests = this.#requests * fade + requests;
  }

  /** Of the sum, a part is of requests that are not over: half of what each takes, as far as they may be part of it. */
  each(unfinished: number): number | undefined {
    if (this.#requests < ENOUGH_REQUESTS) return undefined;
    return this.#sum / (this.#requests + Math.min(unfinished, this.#requests) / 2);
  }
}

/** The newest totals, at least so far apart, in a ring. */
class History {
  readonly #entries: Totals[] = [];
  readonly #capacity: number;
  readonly #everyMs: number;
  #next = 0;

  constructor(capacity: number, everyMs: number) {
    this.#capacity = capacity;
    this.#everyMs = everyMs;
  }

  add(totals: Totals): void {
    const newest = this.back(0);
    if (newest && totals.atMs - newest.atMs < this.#everyMs) return;
    this.#entries[this.#next] = totals;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** The newest but `count`. */
  back(count: number): Totals | undefined {
    return this.#entries[(this.#next - 1 - count + 2 * this.#capacity) % this.#capacity];
  }

  /** The newest of that moment or before. */
  until(atMs: number): Totals | undefined {
    for (let count = 0; count < this.#entries.length; count++) {
      const entry = this.back(count);
      if (entry && entry.atMs <= atMs) return entry;
    }
    return undefined;
  }
}

function stretch(from: Totals | undefined, middle: Totals | undefined, to: Totals): Stretch | undefined {
  return from && middle && { older: between(from, middle), newer: between(middle, to) };
}

function between(from: Totals, to: Totals): Span {
  const ms = to.atMs - from.atMs;
  const grantedMs = to.grantedMs - from.grantedMs;
  return {
    ms,
    arrivals: to.arrivals - from.arrivals,
    inFlight: (to.servedMs - from.servedMs) / ms,
    held: (to.heldMs - from.heldMs) / ms,
    cpu: (to.cpuMs - from.cpuMs) / ms,
    granted: grantedMs / ms,
    throttledShare: grantedMs > 0 ? (to.throttledMs - from.throttledMs) / grantedMs : 0,
  };
}
