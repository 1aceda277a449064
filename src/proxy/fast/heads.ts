/**
 * What heads of requests are read with. A connection has one for as long as it lasts; the next connection gets it with the
 * memory that it has grown, and with the last Host, which it is quicker to compare than to read. Nothing else of what
 * a client said outlasts its connection.
 */
import type { HeadLimits } from '../http1/limits.ts';
import { RequestHead } from '../http1/request-head.ts';

/** Those that no connection has at the moment; some hundreds of bytes each. */
const KEPT = 256;

export class Heads {
  readonly #limits: HeadLimits;
  readonly #noting: boolean;
  readonly #kept: RequestHead[] = [];

  /** `noting`: as for `RequestHead`. */
  constructor(limits: HeadLimits, noting: boolean) {
    this.#limits = limits;
    this.#noting = noting;
  }

  take(): RequestHead {
    return this.#kept.pop() ?? new RequestHead(this.#limits, this.#noting);
  }

  /** Nobody reads with it any more, nor what it has read last. */
  giveBack(head: RequestHead): void {
    if (this.#kept.length === KEPT) return;
    head.reset();
    this.#kept.push(head);
  }
}
