/**
 * How soon an app's visitors are told that no more of them may wait. Nearly always at once. But most clients that are refused ask
 * again, and a refusal costs as much as a warm request: an app that is flooded past its bounds would take the machine
 * from its neighbours with nothing but refusals. So beyond so many in a second they take their time, and a client that
 * waits for an answer does not ask meanwhile (what HAProxy calls a tarpit).
 */
import type { Clock } from '../clock.ts';
import { sleep } from '../clock.ts';
import type { AcquireRequest } from './lease.ts';

/** Of one app, refusals are told at once until there were a second's worth of them at this pace, 100. */
const INTERVAL_MS = 10;
const AT_ONCE_MS = 1_000;
/** Nobody is told later than this. */
const MAX_DELAY_MS = 1_000;
/** Of all apps together; beyond these, refusals are told at once again. A request occupies what was read of its body. */
const MAX_DELAYED = 10_000;
const MAX_DELAYED_BYTES = 16 * 1024 * 1024;

/** What all refusals of a proxy occupy that are told later. */
export class DelayedRefusals {
  #requests = 0;
  #bytes = 0;

  /** False: there is no room. */
  take(bytes: number): boolean {
    if (this.#requests >= MAX_DELAYED || this.#bytes + bytes > MAX_DELAYED_BYTES) return false;
    this.#requests++;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#requests--;
    this.#bytes -= bytes;
  }
}

export class RefusalPace {
  readonly #clock: Clock;
  readonly #delayed: DelayedRefusals;
  /** When the next one would be told, were they told at an even pace (a token bucket, as a point in time). Monotonic. */
  #nextMs = 0;

  constructor(clock: Clock, delayed: DelayedRefusals) {
    this.#clock = clock;
    this.#delayed = delayed;
  }

  /** Settles as `refusal` does, when its time has come. Errors: `refusal`'s, and the reason of the request's signal. */
  async tell<T>(refusal: Promise<T>, request: AcquireRequest): Promise<T> {
    const delayMs = this.#take();
    const bytes = request.bodyBytes;
    if (delayMs <= 0 || !this.#delayed.take(bytes)) return refusal;
    refusal.catch(() => undefined); // whoever asked hears of it later
    try {
      await sleep(this.#clock, delayMs, request.signal);
    } finally {
      this.#delayed.give(bytes);
    }
    return refusal;
  }

  #take(): number {
    const nowMs = this.#clock.monotonicMs();
    const earliestMs = Math.max(this.#nextMs, nowMs - AT_ONCE_MS);
    this.#nextMs = Math.min(earliestMs + INTERVAL_MS, nowMs + MAX_DELAY_MS);
    return this.#nextMs - nowMs;
  }
}
