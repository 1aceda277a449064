/**
 * Time is a parameter. Decisions take `nowMs`; whatever waits takes a `Clock`, so that a test can run a day of traffic
 * in a second.
 */
// The global of the same name is a getter, which every reading of the clock would go through.
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** Wall-clock time in whole milliseconds since the epoch, which never goes back; what records and events carry. */
  nowMs(): number;
  /** A clock that never jumps, in milliseconds with a fraction; what durations are measured with. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs` (clamped to 0 … 2^31-1); the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;
/** Of time, while it waits for a wall clock that was set back: what is measured with it is off by no more than that. */
const WAITING_SPEED = 0.9;

/**
 * A wall clock that never goes back. Whatever waits for a time would wait as long as that is ahead: so where `wallMs` is set back
 * by an hour, this one goes on a little slower, until the other has caught up ten hours later. Forward it follows at once.
 */
export function steadyWallClock(wallMs: () => number, monotonicMs: () => number): () => number {
  // When it was right last. Small steps added to a time of so many digits would be rounded up each time.
  let rightMs = wallMs();
  let rightAtMs = monotonicMs();
  return () => {
    const wallNowMs = wallMs();
    const readMs = monotonicMs(); // the later of the two: what passes between them is not counted twice
    const waitingMs = rightMs + (readMs - rightAtMs) * WAITING_SPEED;
    if (wallNowMs < waitingMs) return Math.floor(waitingMs);
    rightMs = wallNowMs;
    rightAtMs = readMs;
    return wallNowMs;
  };
}

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: steadyWallClock(Date.now, () => performance.now()),
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
