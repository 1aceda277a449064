/** A change that takes long, told as it goes: progress lines while an image is pulled, then the result. */
import type { PullProgress } from '../apps.ts';
import type { ChangeLine } from '../schema-views.ts';

/** Progress a slow client has not taken yet; older news is dropped first. */
const MAX_WAITING = 100;

/** Yields what `work` reports, then what it results in; throws what it throws. */
export async function* withProgress(
  work: (onProgress: (progress: PullProgress) => void) => Promise<ChangeLine>,
): AsyncGenerator<ChangeLine> {
  const state = { waiting: [] as ChangeLine[], ended: false, wake: (): void => undefined };
  const flight = work(({ status, currentBytes, totalBytes }) => {
    state.waiting.push({ type: 'progress', status, currentBytes, totalBytes });
    if (state.waiting.length > MAX_WAITING) state.waiting.shift();
    state.wake();
  }).finally(() => {
    state.ended = true;
    state.wake();
  });
  // Its failure is thrown below; a consumer that has gone by then needs no word of it.
  flight.catch(() => undefined);
  for (;;) {
    const line = state.waiting.shift();
    if (line) yield line;
    else if (state.ended) break;
    else await new Promise<void>((resolve) => (state.wake = resolve));
  }
  yield await flight;
}
