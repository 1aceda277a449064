/**
 * How soon an app's visitors are told that no more of them may wait. Nearly always at once. But most clients that are refused ask
 * again, and a refusal costs as much as a warm request: an app that is flooded past its bounds would take the machine
 * from its neighbours with nothing but refusals. So beyond so many in a second they take their time, and a client that
 * waits for an answer does not ask meanwhile (what HAProxy calls a tarpit).
 */
import type { Clock } from '../clock.ts';
import { sleep } from '../clock.ts';
import type { AcquireRequest } from './lease.ts';

/** Told at once in a second, of one app. */
const PER_SECOND = 100;
const INTERVAL_MS = 1_000 / PER_SECOND;
/** Nobody is told later than this. */
const MAX_DELAY_MS = 1_000;
/** Of one app; beyond these, refusals are told at once again. A request occupies what its connection has read of it. */
const MAX_DELAYED = 10_000;
const MAX_DELAYED_BYTES = 16 * 1024 * 1024;

export class RefusalPace {
  readonly #clock: Clock;
  /** When the next one would be told, were they told at an even pace (a token bucket, as a point in time). Monotonic. */
  #nextMs = 0;
  #delayed = 0;
  #delayedBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Settles as `refusal` does, when its time has come. Errors: `refusal`'s, and the reason of the request's signal. */
  async tell<T>(refusal: Promise<T>, request: AcquireRequest): Promise<T> {
    const delayMs = this.#take();
    const bytes = request.bodyBytes;
    if (delayMs <= 0 || this.#delayed >= MAX_DELAYED || this.#delayedBytes + bytes > MAX_DELAYED_BYTES)
      return refusal;
    refusal.catch(() => undefined); // whoever asked hears of it later
    this.#delayed++;
    this.#delayedBytes += bytes;
    try {
      await sleep(this.#clock, delayMs, request.signal);
    } finally {
      this.#delayed--;
      this.#delayedBytes -= bytes;
    }
    return refusal;
  }

  #take(): number {
    const nowMs = this.#clock.monotonicMs();
    const earliestMs = Math.max(this.#nextMs, nowMs - PER_SECOND * INTERVAL_MS);
    this.#nextMs = Math.min(earliestMs + INTERVAL_MS, nowMs + MAX_DELAY_MS);
    return this.#nextMs - nowMs;
  }
}
