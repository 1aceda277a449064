/**
 * What heads of requests are read with. A connection has one for as long as it lasts; the next connection gets it with the
 * memory that it has grown, and with the last Host, which it is quicker to compare than to read. Where that one comes from the
 * same address, all of the last head is compared: clients that keep no connection say the same on each of them.
 */
import type { Peer } from '../doors/peer.ts';
import type { HeadLimits } from '../http1/limits.ts';
import { Origin } from '../http1/origin.ts';
import { RequestHead } from '../http1/request-head.ts';

/** What a connection reads with, and what is told of it to apps. */
export interface Reading {
  readonly head: RequestHead;
  readonly origin: Origin;
}

/** Those that no connection has at the moment; some hundreds of bytes each. */
const KEPT = 256;

export class Heads {
  readonly #limits: HeadLimits;
  readonly #noting: boolean;
  readonly #kept: Reading[] = [];

  /** `noting`: as for `RequestHead`. */
  constructor(limits: HeadLimits, noting: boolean) {
    this.#limits = limits;
    this.#noting = noting;
  }

  take(peer: Peer): Reading {
    const kept = this.#kept.pop();
    if (kept?.head.isBetween === true && kept.origin.tellsOf(peer)) return kept;
    const head = kept?.head ?? new RequestHead(this.#limits, this.#noting);
    head.reset();
    return { head, origin: new Origin(peer) };
  }

  /** Nobody reads with it any more, nor what it has read last. */
  giveBack(reading: Reading): void {
    if (this.#kept.length < KEPT) this.#kept.push(reading);
  }
}
