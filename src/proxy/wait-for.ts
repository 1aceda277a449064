/** One waiter's patience with a promise that others may share: it goes when its signal aborts or its time is up. */
import type { Clock } from '../clock.ts';

export interface WaitOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly timedOut: () => Error;
  readonly signal: AbortSignal | undefined;
}

/** Rejects with the promise's error, the signal's reason or `timedOut()`, whichever comes first; leaves nothing behind. */
export function waitFor<T>(promise: Promise<T>, options: WaitOptions): Promise<T> {
  const { clock, timeoutMs, timedOut, signal } = options;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = clock.after(timeoutMs, () => {
      signal?.removeEventListener('abort', onAbort);
      reject(timedOut());
    });
    const done = () => {
      cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    promise.finally(done).then(resolve, reject);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
