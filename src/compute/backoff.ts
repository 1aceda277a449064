import { decideRetry, type Retry } from '../coreapi/decisions/backoff.ts';

/** Failures longer ago than this say nothing about now. */
const FORGOTTEN_AFTER_MS = 600_000;

/** Starts that failed in a row, and the time before which there is no further one. */
export class Backoff {
  #failures = 0;
  #notBeforeMs = 0;
  #lastAtMs = -Infinity;

  get failures(): number {
    return this.#failures;
  }

  /** Epoch ms. */
  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  /** Another one failed. `patienceMs` is what is left of the patience of those who wait for it: 0 where nobody does. */
  failed(nowMs: number, { isRetryable, patienceMs }: { isRetryable: boolean; patienceMs: number }): Retry {
    if (nowMs - this.#lastAtMs > FORGOTTEN_AFTER_MS) this.#failures = 0;
    this.#lastAtMs = nowMs;
    this.#failures++;
    const retry = decideRetry({
      failures: this.#failures,
      retryable: isRetryable,
      remainingMs: patienceMs,
    });
    if (retry.action === 'giveUp') this.#notBeforeMs = nowMs + retry.backoffMs;
    return retry;
  }

  /** One lived for a while. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** What is started next is another thing: nothing is held against it. */
  clear(): void {
    this.#failures = 0;
    this.#notBeforeMs = 0;
  }
}
