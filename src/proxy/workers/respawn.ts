/**
 * When a worker that has ended is replaced: at once, and the more often it ends soon after its start, the later. A slot is
 * never given up, since clients are sent to it by the kernel.
 */

/** A worker that served so long did not end because of its start. */
export const SETTLED_MS = 10_000;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;

/** `failures`: ends in a row of workers that had not settled, this one included. Milliseconds, 0 … 5,000. */
export function respawnDelayMs(failures: number): number {
  return failures <= 1 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 2));
}
