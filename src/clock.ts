/**
 * Time is a parameter. Decisions take `nowMs`; whatever waits takes a `Clock`, so that a test can run a day of traffic
 * in a second.
 */
// The global of the same name is a getter, which every reading of the clock would go through.
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** Wall-clock time in milliseconds since the epoch; what records and events carry. */
  nowMs(): number;
  /** A clock that never jumps, in milliseconds with a fraction; what durations are measured with. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs` (clamped to 0 … 2^31-1); the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = () => {
      cancel();
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
