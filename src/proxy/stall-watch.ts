/**
 * Notices that something which should go on does not. Progress only leaves a stamp; one timer looks at the stamp when its
 * time comes, so a long transfer costs no timer per chunk.
 */
import type { Clock } from '../clock.ts';

export class StallWatch {
  readonly #clock: Clock;
  #sinceMs = 0;
  #limitMs = 0;
  #stalled: (() => void) | undefined;
  #dueMs = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** From now on: `stalled` is called once if there is no progress for `limitMs`. Replaces what was watched before. */
  watch(limitMs: number, stalled: () => void): void {
    this.#sinceMs = this.#clock.monotonicMs();
    this.#limitMs = limitMs;
    this.#stalled = stalled;
    const dueMs = this.#sinceMs + limitMs;
    if (this.#cancel !== undefined && this.#dueMs <= dueMs) return; // that timer will look again
    this.#cancel?.();
    this.#arm(dueMs);
  }

  progress(): void {
    this.#sinceMs = this.#clock.monotonicMs();
  }

  /** Nothing is watched; the timer, if any, goes with `close`. */
  rest(): void {
    this.#stalled = undefined;
  }

  close(): void {
    this.#stalled = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#cancel = this.#clock.after(dueMs - this.#clock.monotonicMs(), () => {
      this.#cancel = undefined;
      const stalled = this.#stalled;
      if (stalled === undefined) return;
      const deadlineMs = this.#sinceMs + this.#limitMs;
      if (this.#clock.monotonicMs() < deadlineMs) {
        this.#arm(deadlineMs);
        return;
      }
      this.#stalled = undefined;
      stalled();
    });
  }
}
