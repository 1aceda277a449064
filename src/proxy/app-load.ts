/**
 * What an app's requests amount to, for whoever decides its size: how many came, how many are there, and the time they have
 * spent, as the area under "how many are there at once". Each coming and going is one multiplication.
 */
import type { LoadReport } from './control-plane.ts';

export class AppLoad {
  readonly appId: string;
  /** When something came or went last, on the monotonic clock, as all times here. */
  changedMs = 0;
  /** Ends the observing that goes on while the app is busy; undefined while nobody observes it. */
  cancel: (() => void) | undefined = undefined;
  #arrivals = 0;
  #inFlight = 0;
  #held = 0;
  #servedMs = 0;
  #waitedMs = 0;

  constructor(appId: string) {
    this.appId = appId;
  }

  get busy(): boolean {
    return this.#inFlight > 0 || this.#held > 0;
  }

  /** A request has come; where it goes is told separately. */
  arrived(): void {
    this.#arrivals++;
  }

  started(nowMs: number): void {
    this.#advance(nowMs);
    this.#inFlight++;
  }

  ended(nowMs: number): void {
    this.#advance(nowMs);
    this.#inFlight--;
  }

  /** So many wait from now on. */
  waiting(held: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#held = held;
  }

  /** `atMs`: the same moment, epoch ms. */
  report(nowMs: number, atMs: number): LoadReport {
    const sinceMs = nowMs - this.changedMs;
    const inFlight = this.#inFlight;
    const held = this.#held;
    return {
      appId: this.appId,
      atMs,
      arrivals: this.#arrivals,
      completed: this.#arrivals - inFlight - held,
      servedMs: this.#servedMs + inFlight * sinceMs,
      waitedMs: this.#waitedMs + held * sinceMs,
      inFlight,
      held,
    };
  }

  #advance(nowMs: number): void {
    const sinceMs = nowMs - this.changedMs;
    this.#servedMs += this.#inFlight * sinceMs;
    this.#waitedMs += this.#held * sinceMs;
    this.changedMs = nowMs;
  }
}
