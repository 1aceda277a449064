/**
 * Requests waiting for an app, first come first served. Bounded per app and, through the budget that all queues share,
 * in all and beside each other: what does not fit is refused at once. A waiter is a link of its list, so one that gives up
 * leaves in O(1), and since all wait equally long, one timer for the first of them serves the whole queue.
 */
import type { Clock } from '../clock.ts';
import { PlatformError } from '../errors.ts';
import { mayHave } from './fair-share.ts';

/** A guess that spares the client a second refusal; how soon there is room again depends on others. */
const RETRY_AFTER_MS = 1_000;

export interface Held {
  readonly requests: number;
  readonly bytes: number;
}

const NOTHING: Held = { requests: 0, bytes: 0 };

/** What all held requests of a proxy may occupy together, and in it each app its share. */
export class HoldBudget {
  readonly #most: Held;
  requests = 0;
  bytes = 0;
  /** Requests refused for want of room, here or in an app's own queue, since the start. */
  overflows = 0;

  constructor(most: Held) {
    this.#most = most;
  }

  /** `held`: what the same app has of it already; left out where apps are not told apart. Errors: `hold_full`. */
  take(bytes: number, held: Held = NOTHING): void {
    const most = this.#most;
    if (!mayHave(1, { own: held.requests, all: this.requests, most: most.requests }))
      throw this.refuse(`${this.requests} requests wait on this machine already`);
    if (!mayHave(bytes, { own: held.bytes, all: this.bytes, most: most.bytes }))
      throw this.refuse(`${this.bytes} bytes wait on this machine already`);
    this.requests++;
    this.bytes += bytes;
  }

  give(bytes: number): void {
    this.requests--;
    this.bytes -= bytes;
  }

  /** Without a stack: it would take six times as long as the rest of the error, and in a flood there are thousands a second. */
  refuse(message: string): PlatformError {
    this.overflows++;
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    const error = new PlatformError('hold_full', message, {
      hint: 'Try again a little later.',
      retryAfterMs: RETRY_AFTER_MS,
    });
    Error.stackTraceLimit = stackTraceLimit;
    return error;
  }
}

/** One held request: what it asked for (`what`), and how its wait ends. */
export interface Waiter<What, Got> {
  readonly what: What;
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (got: Got) => void;
  readonly reject: (error: Error) => void;
  readonly onAbort: () => void;
  /** Monotonic. */
  deadlineMs: number;
  previous: Waiter<What, Got> | undefined;
  next: Waiter<What, Got> | undefined;
}

export interface HoldQueueOptions {
  readonly clock: Clock;
  readonly budget: HoldBudget;
  readonly timeoutMs: number;
  /** What a request is told that has waited too long. */
  readonly timedOut: () => PlatformError;
  /** So many wait from now on. */
  readonly resized: (size: number) => void;
  /** The queue has become empty other than by `shift`. */
  readonly emptied: () => void;
}

export interface HoldRequest<What> {
  readonly what: What;
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  /** The app's own bounds, as its route says them now. */
  readonly maxRequests: number;
  readonly maxBytes: number;
  /** Ahead of those that have not been at the head before, behind those that have. */
  readonly first: boolean;
}

export class HoldQueue<What, Got> {
  readonly #options: HoldQueueOptions;
  #head: Waiter<What, Got> | undefined;
  #tail: Waiter<What, Got> | undefined;
  /** The last of those that were let in first. */
  #lastFirst: Waiter<What, Got> | undefined;
  #size = 0;
  #bytes = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(options: HoldQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Waits until `shift` hands it on. Errors: `hold_full` (at once), what `timedOut` makes, what `rejectAll` is given, and
   * the signal's reason.
   */
  push(request: HoldRequest<What>): Promise<Got> {
    const { what, bytes, signal, maxRequests, maxBytes, first } = request;
    const { budget, clock, timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#size + 1 > maxRequests)
        throw budget.refuse(`${maxRequests} requests wait for this app already`);
      if (this.#bytes + bytes > maxBytes)
        throw budget.refuse(`what waits for this app would exceed ${maxBytes} bytes`);
      budget.take(bytes, { requests: this.#size, bytes: this.#bytes });
      const waiter: Waiter<What, Got> = {
        what,
        bytes,
        signal,
        resolve,
        reject,
        onAbort: () => {
          this.#leave(waiter);
          reject(signal?.reason as Error);
          if (this.#size === 0) this.#options.emptied();
        },
        deadlineMs: clock.monotonicMs() + timeoutMs,
        previous: undefined,
        next: undefined,
      };
      signal?.addEventListener('abort', waiter.onAbort, { once: true });
      this.#link(waiter, first);
    });
  }

  /** Takes the one that has waited longest; the caller settles it. */
  shift(): Waiter<What, Got> | undefined {
    const waiter = this.#head;
    if (waiter !== undefined) this.#leave(waiter);
    return waiter;
  }

  rejectAll(error: Error): void {
    for (let waiter = this.shift(); waiter !== undefined; waiter = this.shift()) waiter.reject(error);
  }

  forEach(visit: (what: What) => void): void {
    for (let waiter = this.#head; waiter !== undefined; waiter = waiter.next) visit(waiter.what);
  }

  #link(waiter: Waiter<What, Got>, first: boolean): void {
    const previous = first ? this.#lastFirst : this.#tail;
    const next = previous === undefined ? this.#head : previous.next;
    waiter.previous = previous;
    waiter.next = next;
    if (previous === undefined) this.#head = waiter;
    else previous.next = waiter;
    if (next === undefined) this.#tail = waiter;
    else {
      next.previous = waiter;
      // Deadlines stay in order, which lets the timer look at the head alone.
      waiter.deadlineMs = Math.min(waiter.deadlineMs, next.deadlineMs);
    }
    if (first) this.#lastFirst = waiter;
    this.#bytes += waiter.bytes;
    this.#options.resized(++this.#size);
    this.#cancelTimer ??= this.#arm(waiter.deadlineMs);
  }

  #leave(waiter: Waiter<What, Got>): void {
    if (waiter.previous === undefined) this.#head = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === undefined) this.#tail = waiter.previous;
    else waiter.next.previous = waiter.previous;
    if (this.#lastFirst === waiter) this.#lastFirst = waiter.previous;
    this.#bytes -= waiter.bytes;
    this.#options.resized(--this.#size);
    this.#options.budget.give(waiter.bytes);
    waiter.signal?.removeEventListener('abort', waiter.onAbort);
    if (this.#size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arm(deadlineMs: number): () => void {
    const { clock } = this.#options;
    return clock.after(deadlineMs - clock.monotonicMs(), () => this.#expire());
  }

  #expire(): void {
    const { clock, timedOut, emptied } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#cancelTimer = undefined;
    while (this.#head !== undefined && this.#head.deadlineMs <= nowMs) this.shift()?.reject(timedOut());
    if (this.#head !== undefined) this.#cancelTimer = this.#arm(this.#head.deadlineMs);
    else emptied();
  }
}
