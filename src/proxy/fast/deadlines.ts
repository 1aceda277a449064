/**
 * Deadlines of many things, coarsely. Setting one is a comparison and a store: whoever is due earlier anyway stays where it is
 * in the wheel, and is looked at, and put further on, when the wheel comes by. So a request costs no timer, and a thousand
 * idle connections cost one turn of the wheel every few milliseconds, which finds nothing to do.
 *
 * Things keep ticks, small whole numbers: a fraction, or Infinity, is an object of its own in V8, and one more place in memory
 * to go to for each of them.
 */
import type { Clock } from '../../clock.ts';

/** A deadline is noticed at most so much too late. */
const TICK_MS = 20;
/** What is further away than one round is looked at once a round. */
const SLOTS = 1024;

/** No tick. */
const NONE = -1;

/** Something with at most one deadline at a time. */
export abstract class Timed {
  /** The tick of its deadline. Set by `Deadlines` alone. */
  due = NONE;
  /** The tick at which the wheel looks at it; `NONE`: it is not in the wheel. */
  look = NONE;
  slot = 0;
  slotBefore: Timed | undefined;
  slotAfter: Timed | undefined;

  /** The deadline has passed; there is none from here on until another is set. */
  abstract expired(): void;

  /** No deadline. It stays in the wheel, where the next one finds it. */
  withoutDeadline(): void {
    this.due = NONE;
  }
}

export class Deadlines {
  readonly #clock: Clock;
  /** The first of each slot's. Lists of links, not Sets, for what `Roll` says of those. */
  readonly #slots = new Array<Timed | undefined>(SLOTS).fill(undefined);
  #waiting = 0;
  /** What the clock said when the wheel turned last. */
  #seenMs = 0;
  /** The last tick that was dealt with, counted from the clock's zero. */
  #tick = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Expires after `ms`, and at most two ticks later; a program that stands still may find it expired at once. */
  after(one: Timed, ms: number): void {
    // Reading the clock costs more than all the rest of this: what the wheel saw last is good enough.
    if (this.#waiting === 0) this.#seenMs = this.#clock.monotonicMs();
    this.set(one, this.#seenMs + TICK_MS + ms);
  }

  /** On the monotonic clock. */
  set(one: Timed, deadlineMs: number): void {
    if (deadlineMs === Infinity) {
      one.withoutDeadline();
      return;
    }
    const due = Math.ceil(deadlineMs / TICK_MS);
    one.due = due;
    if (one.look !== NONE && one.look <= due) return;
    this.#take(one);
    this.#put(one);
  }

  /** No deadline; the wheel does not know it any more. */
  remove(one: Timed): void {
    one.withoutDeadline();
    this.#take(one);
    if (this.#waiting > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #put(one: Timed): void {
    if (this.#waiting++ === 0) this.#tick = Math.floor(this.#clock.monotonicMs() / TICK_MS);
    const tick = Math.min(Math.max(one.due, this.#tick + 1), this.#tick + SLOTS - 1);
    one.slot = tick % SLOTS;
    one.look = tick;
    const first = this.#slots[one.slot];
    one.slotAfter = first;
    if (first !== undefined) first.slotBefore = one;
    this.#slots[one.slot] = one;
    this.#cancel ??= this.#clock.after(TICK_MS, this.#turn);
  }

  #take(one: Timed): void {
    if (one.look === NONE) return;
    one.look = NONE;
    const { slotBefore, slotAfter } = one;
    if (slotBefore === undefined) this.#slots[one.slot] = slotAfter;
    else slotBefore.slotAfter = slotAfter;
    if (slotAfter !== undefined) slotAfter.slotBefore = slotBefore;
    one.slotBefore = one.slotAfter = undefined;
    this.#waiting--;
  }

  readonly #turn = (): void => {
    this.#cancel = undefined;
    const nowMs = this.#clock.monotonicMs();
    this.#seenMs = nowMs;
    const last = Math.floor(nowMs / TICK_MS);
    // After a long standstill one round is enough to see everything.
    if (last - this.#tick > SLOTS) this.#tick = last - SLOTS;
    while (this.#tick < last) {
      this.#tick++;
      const slot = this.#tick % SLOTS;
      // What is put on while this goes on is put elsewhere; what is taken out is not found here any more.
      for (let one = this.#slots[slot]; one !== undefined; one = this.#slots[slot]) {
        this.#take(one);
        if (one.due === NONE) continue;
        if (one.due > last) this.#put(one);
        else {
          one.withoutDeadline();
          one.expired();
        }
      }
    }
    if (this.#waiting > 0) this.#cancel ??= this.#clock.after(TICK_MS, this.#turn);
  };
}
